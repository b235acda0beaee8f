#if defined(__x86_64__)
#define NAME "avx2"
#define TABLE pm_table_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define TILE_ROWS 6
#define TILE_VECTORS 1
#define DOT_INPUTS 2
#define DOT_BATCH 2
#include "families/table.h"
#endif
