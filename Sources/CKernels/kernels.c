#include "include/kernels.h"
int peermill_kernels_version(void){return 1;}
