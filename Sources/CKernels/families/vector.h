// Included once for each instruction set, before the families: 16 floats as one value.
#pragma clang fp contract(off)
#include "../include/kernels.h"

typedef float v16 __attribute__((ext_vector_type(16)));
typedef float v16u __attribute__((ext_vector_type(16), aligned(4)));
typedef float v8 __attribute__((ext_vector_type(8)));
typedef float v4 __attribute__((ext_vector_type(4)));
typedef float v2 __attribute__((ext_vector_type(2)));
typedef int32_t i16 __attribute__((ext_vector_type(16)));
typedef uint8_t b16 __attribute__((ext_vector_type(16), aligned(1)));

#define LOAD(p) (*(const v16u *)(p))
#define STORE(p, v) (*(v16u *)(p) = (v))
#define FMA(a, b, c) __builtin_elementwise_fma(a, b, c)
#define INLINE static inline __attribute__((always_inline)) TARGET
#define FUNCTION TARGET static
#define UNROLL _Pragma("clang loop unroll(full)")

INLINE float tree_sum(v16 a) {
  v8 b = a.lo + a.hi;
  v4 c = b.lo + b.hi;
  v2 d = c.lo + c.hi;
  return d.x + d.y;
}
