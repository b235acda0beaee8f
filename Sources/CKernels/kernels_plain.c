// For every other processor: NEON by the compiler's vectors; on x86-64 without the fma instruction, libm's exact fmaf.
#define NAME "plain"
#define TABLE pm_table_plain
#define TARGET
#define TILE_ROWS 6
#define TILE_VECTORS 1
#define DOT_INPUTS 2
#define DOT_BATCH 2
#include "families/table.h"
