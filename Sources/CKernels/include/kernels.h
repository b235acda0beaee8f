int peermill_kernels_version(void);
