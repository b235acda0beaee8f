// Included once for each instruction set, before the families: 16 floats as one value.
#pragma clang fp contract(off)
#include "../include/kernels.h"

typedef float v16 __attribute__((ext_vector_type(16)));
typedef float v16u __attribute__((ext_vector_type(16), aligned(4)));
typedef float v8 __attribute__((ext_vector_type(8)));
typedef float v8u __attribute__((ext_vector_type(8), aligned(4)));
typedef float v4 __attribute__((ext_vector_type(4)));
typedef float v4u __attribute__((ext_vector_type(4), aligned(4)));
typedef float v2 __attribute__((ext_vector_type(2)));
typedef int32_t i16 __attribute__((ext_vector_type(16)));
typedef uint32_t u16 __attribute__((ext_vector_type(16)));
typedef int32_t i16u __attribute__((ext_vector_type(16), aligned(4)));
typedef uint8_t b16 __attribute__((ext_vector_type(16), aligned(1)));

#define LOAD(p) (*(const v16u *)(p))
#define STORE(p, v) (*(v16u *)(p) = (v))
#define FMA(a, b, c) __builtin_elementwise_fma(a, b, c)
#define INLINE static inline __attribute__((always_inline)) TARGET
#define FUNCTION TARGET static
#define UNROLL _Pragma("clang loop unroll(full)")

#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

INLINE float tree_sum(v16 a) {
  v8 b = a.lo + a.hi;
  v4 c = b.lo + b.hi;
  v2 d = c.lo + c.hi;
  return d.x + d.y;
}

// The trees of four vectors side by side: the same additions, in fewer instructions.
INLINE v4 tree_sums(v16 a, v16 b, v16 c, v16 d) {
  v16 ab = SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  v16 cd = SHUFFLE(c, d, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           SHUFFLE(c, d, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  v16 fours = SHUFFLE(ab, cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
              SHUFFLE(ab, cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  v8 twos = SHUFFLE(fours, fours, 0, 1, 4, 5, 8, 9, 12, 13) + SHUFFLE(fours, fours, 2, 3, 6, 7, 10, 11, 14, 15);
  return SHUFFLE(twos, twos, 0, 2, 4, 6) + SHUFFLE(twos, twos, 1, 3, 5, 7);
}
