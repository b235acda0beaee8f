// aligned_alloc and madvise are declared only to those who ask for them.
#define _GNU_SOURCE
#pragma clang fp contract(off)
#include "include/kernels.h"

#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/mman.h>

extern const pm_kernels pm_table_plain;
#if defined(__x86_64__)
extern const pm_kernels pm_table_avx512, pm_table_avx2;
#endif

const pm_kernels *pm_kernels_named(const char *name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!strcmp(name, "avx512"))
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma")
               ? &pm_table_avx512
               : 0;
  if (!strcmp(name, "avx2"))
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &pm_table_avx2 : 0;
#endif
  return !strcmp(name, "plain") ? &pm_table_plain : 0;
}

const pm_kernels *pm_kernels_best(void) {
  static const char *const order[] = {"avx512", "avx2", "plain"};
  for (int i = 0; i < 3; i++) {
    const pm_kernels *found = pm_kernels_named(order[i]);
    if (found) return found;
  }
  return &pm_table_plain;
}

static const size_t huge = (size_t)2 << 20;
static size_t boundary_of(size_t bytes) { return bytes >= huge ? huge : 64; }
size_t pm_allocated_bytes(size_t bytes) {
  size_t boundary = boundary_of(bytes);
  return (bytes + boundary - 1) & ~(boundary - 1);
}

void *pm_allocate(size_t bytes) {
  size_t boundary = boundary_of(bytes), rounded = pm_allocated_bytes(bytes);
  void *memory = aligned_alloc(boundary, rounded);
  if (!memory) return 0;
#ifdef MADV_HUGEPAGE
  if (boundary == huge) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  memset(memory, 0, rounded);
  return memory;
}

void pm_keep_freed_memory(void) {
#ifdef __GLIBC__
  // 32 MiB is the most that glibc takes; one arena, since it trims the others after its own mind.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

void pm_release_freed_memory(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void pm_free(void *memory) { free(memory); }

static double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, 8);
  return x;
}

// x = m 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s) with s = (m-1)/(m+1), its series to s^23.
double pm_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  if (!(x > 0)) return x == 0 ? -__builtin_inf() : __builtin_nan("");
  if (bits >> 52 == 0x7FF) return x;
  int64_t e = 0;
  if (bits >> 52 == 0) {
    x *= 0x1p54;
    memcpy(&bits, &x, 8);
    e = -54;
  }
  e += (int64_t)(bits >> 52) - 1023;
  double m = from_bits((bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e += 1;
  }
  double s = (m - 1) / (m + 1), q = s * s, p = 1.0 / 23;
  for (int k = 21; k >= 1; k -= 2) p = p * q + 1.0 / k;
  return 2 * s * p + (double)e * 0.69314718055994530942;
}

// x = n ln 2 + r, |r| <= ln 2 / 2; exp r by its series to r^13; scaled by 2^n.
double pm_exp(double x) {
  if (x != x) return x;
  if (x > 709) return __builtin_inf();
  if (x < -745) return 0;
  double n = __builtin_rint(x * 1.44269504088896340736);
  double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  double p = 1;
  for (int k = 13; k >= 1; k--) p = p * r / k + 1;
  int64_t whole = (int64_t)n, half = whole / 2;
  return p * from_bits((uint64_t)(half + 1023) << 52) * from_bits((uint64_t)(whole - half + 1023) << 52);
}
