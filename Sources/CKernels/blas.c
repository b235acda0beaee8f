// Products by OpenBLAS, everything else by the best kernels of ours. Its sums come in another order on every processor, so that
// results are near ours and near each other, and never compared by their bits. The library is looked for when it is asked for.
#include "include/kernels.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

typedef void (*sgemm_function)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                               const float *b, int ldb, float beta, float *c, int ldc);
enum { row_major = 101, no_trans = 111, trans = 112 };

static sgemm_function sgemm;
static pm_kernels table;
static const char *reason;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add(int transposed, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, float alpha, const float *a,
                const pm_product_shape *s, const float *b, float beta, float *c) {
  sgemm(row_major, transposed ? trans : no_trans, no_trans, (int)rows, (int)columns, (int)depth, alpha, a,
        (int)(transposed ? s->a_step : s->a_row), b, (int)s->b_row, beta, c, (int)s->c_row);
}

static void product(int transposed, ptrdiff_t rows, ptrdiff_t columns, const pm_product_shape *s, const float *a,
                    const float *b, float *c) {
  if (rows <= 0) return;
  // Rows that overlap are a convolution's, and no matrix to a library.
  ptrdiff_t lead = transposed ? s->a_step : s->a_row, least = transposed ? rows : s->depth;
  if (s->runs) least = 0;
  if (lead < least || lead < 1 || s->b_row < columns || s->c_row < columns) {
    pm_kernels_best()->product(transposed, rows, columns, s, a, b, c);
    return;
  }
  float beta = s->start == pm_from_zero ? 0.0f : 1.0f, alpha = 1.0f;
  if (s->epilogue == pm_descend) {
    alpha = -s->rate;
    beta = 1.0f;
  } else if (s->start == pm_from_bias) {
    for (ptrdiff_t m = 0; m < rows; m++) memcpy(c + m * s->c_row, s->bias, (size_t)columns * 4);
  }
  for (ptrdiff_t s2 = 0; s2 < s->s2; s2++) {
    for (ptrdiff_t s1 = 0; s1 < s->s1; s1++) {
      if (s->runs) {
        ptrdiff_t begin = s->runs[s1].begin;
        add(transposed, rows, columns, s->runs[s1].count, alpha, a + begin, s, b + begin * s->b_row, beta, c);
      } else {
        add(transposed, rows, columns, s->depth, alpha, a + s2 * s->a_s2 + s1 * s->a_s1, s,
            b + s2 * s->b_s2 + s1 * s->b_s1, beta, c);
      }
      beta = 1.0f;
    }
  }
  if (s->epilogue != pm_bias && s->epilogue != pm_bias_relu) return;
  for (ptrdiff_t m = 0; m < rows; m++) {
    float *row = c + m * s->c_row;
    for (ptrdiff_t n = 0; n < columns; n++) {
      float y = row[n] + s->bias[n];
      row[n] = s->epilogue == pm_bias_relu && !(y > 0) ? 0 : y;
    }
  }
}

static void find(void) {
  void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    reason = "OpenBLAS is not installed; on Debian it is libopenblas0";
    return;
  }
  sgemm_function found = (sgemm_function)dlsym(library, "cblas_sgemm");
  char *(*corename)(void) = (char *(*)(void))dlsym(library, "openblas_get_corename");
  void (*threads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
  if (!found || !corename || !threads) {
    reason = "the OpenBLAS that is installed lacks cblas_sgemm, or does not tell its kernel";
    return;
  }
  static const char *const slow[] = {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Atom", "Generic", "SSE_GENERIC"};
  for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
    if (!strcmp(corename(), slow[i]) && pm_kernels_named("avx2")) {
      reason = "OpenBLAS has picked a kernel of processors twenty years old, five times too slow for this one; set "
               "OPENBLAS_CORETYPE=Haswell (or SkylakeX, Zen) before the program starts, or install a newer OpenBLAS";
      return;
    }
  }
  threads(1);
  sgemm = found;
  table = *pm_kernels_best();
  table.name = "blas";
  table.product = product;
}

const pm_kernels *pm_kernels_blas(const char **why) {
  pthread_once(&once, find);
  *why = reason;
  return sgemm ? &table : 0;
}
