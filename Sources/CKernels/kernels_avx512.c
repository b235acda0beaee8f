#if defined(__x86_64__)
#define NAME "avx512"
#define TABLE pm_table_avx512
#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")))
#define TILE_ROWS 14
#define TILE_VECTORS 2
#define DOT_INPUTS 4
#define DOT_BATCH 5
#include "families/table.h"
#endif
