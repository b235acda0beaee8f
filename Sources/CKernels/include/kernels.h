// The reproducible kernels: the same bits on every instruction set.
//
// Rules that every kernel keeps: vectors lie across outputs, never across a reduction; an output is one chain of fused
// multiply-adds in one fixed order from zero; where a reduction must lie along the vector, it is 16 virtual lanes by index
// modulo 16, each a chain, and then the tree (l, l+8), (l, l+4), (l, l+2), (l, l+1). Contraction is off, libm is not called
// (but for its exact fmaf and rint where there is no instruction), subnormals are kept. What lies behind the width of a row
// or the end of an input may be read, and changes nothing that counts.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Raised with any change of an order or a polynomial. Only results of equal versions are compared.
#define PEERMILL_NUMERICS 3

// Where the sums begin: from zero, from what C holds, from the bias of their column.
typedef enum { pm_from_zero = 0, pm_from_sums = 1, pm_from_bias = 2 } pm_start;
typedef enum { pm_store = 0, pm_bias = 1, pm_bias_relu = 2, pm_descend = 3 } pm_epilogue;

// Neighbouring steps of a reduction.
typedef struct {
  int32_t begin, count;
} pm_run;

// C[m,n] = sum over s2, s1, k of A(m,k) B(k,n), in that order of loops.
// A(m,k) = a[m*a_row + k*a_step + s1*a_s1 + s2*a_s2]; B(k,n) = b[k*b_row + n + s1*b_s1 + s2*b_s2]. Strides in floats.
typedef struct {
  ptrdiff_t a_row, a_step, b_row, c_row;
  ptrdiff_t depth, s1, s2, a_s1, a_s2, b_s1, b_s2;
  const pm_run *runs;    // where not null: s1 runs of k, and what lies between them adds nothing; A's rows are apart then
  int start;             // a pm_start
  int epilogue;          // what becomes of the sums; pm_descend: C -= rate * sum
  float rate;
  const float *bias;     // n values, for pm_from_bias, pm_bias and pm_bias_relu
} pm_product_shape;

typedef enum {
  pm_relu, pm_leaky, pm_elu, pm_sigmoid, pm_tanh, pm_exponential, pm_logarithm, pm_root, pm_absolute, pm_power, pm_error,
  pm_gelu, pm_gelu_tanh, pm_hard_swish, pm_hard_sigmoid, pm_clip, pm_affine, pm_softplus, pm_silu
} pm_unary;
typedef enum {
  pm_add, pm_subtract, pm_multiply, pm_divide, pm_larger, pm_smaller, pm_is_equal, pm_is_less, pm_is_at_most, pm_both, pm_either
} pm_binary;
typedef enum { pm_squared, pm_binary_logits, pm_binary_shares } pm_value_loss;

// One side of a map over rows: row r of the result meets row table[r] of the data (r itself where there is no table), all of
// it or, where is_scalar, its first value alone.
typedef struct {
  const float *data;
  const int32_t *table;
  ptrdiff_t stride;
  int is_scalar;
} pm_operand;

// Sizes from the outermost dimension to the innermost, and how many floats each step is in either place.
typedef struct {
  ptrdiff_t size[6], in_step[6], out_step[6];
} pm_copy_shape;

// A window of taps that slides over images [height, width, channels], channels at a stride.
typedef struct {
  ptrdiff_t images, height, width, channels, stride, out_height, out_width;
  ptrdiff_t height_taps, width_taps, row_step, column_step, row_gap, column_gap, top, left, bottom, right;
  int counts_padding;
} pm_window;

// How an optimizer steps; see optimizers.h for what each is in the formulas.
typedef struct {
  float rate, momentum, scale, decay, pull, beta1, beta2, rate1, root2, epsilon, keep;
  int is_nesterov;
  int64_t step;
} pm_descent;

typedef struct {
  const char *name;
  // columns: a multiple of 16. transposed: A's rows are neighbours (a_row 1), else a_step is 1.
  void (*product)(int transposed, ptrdiff_t rows, ptrdiff_t columns, const pm_product_shape *shape, const float *a,
                  const float *b, float *c);
  // dx[b,k] = sum over n of dy[b,n] w[k,n], lanes and tree. n: a multiple of 16.
  void (*dots)(ptrdiff_t batch, ptrdiff_t inputs, ptrdiff_t n, const float *dy, ptrdiff_t dy_row, const float *w,
               ptrdiff_t w_row, float *dx, ptrdiff_t dx_row);
  // Max-pool 2x2 of n images [2h, 2w, c] into [h, w, c]; which of the four was the (first) largest goes to index. With relu
  // the largest is cut at 0 from below, as if every value had been.
  void (*pool)(ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c, int relu, const float *y, float *out, ptrdiff_t out_row,
               ptrdiff_t out_image, uint8_t *index);
  // Its gradient; where masked, only where the pooled value is above 0 (a ReLU stood before). Adds column sums to db.
  void (*pool_backward)(ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c, int masked, const float *pooled,
                        ptrdiff_t p_row, ptrdiff_t p_image, const float *dp, ptrdiff_t dp_row, ptrdiff_t dp_image,
                        const uint8_t *index, float *dy, ptrdiff_t dy_row, ptrdiff_t dy_image, float *db);
  // Softmax cross-entropy over rows of `classes` in a stride of `row`: dz = (softmax - onehot) * scale where dz is not null;
  // returns the sum of losses; counts rows whose first largest logit is the label.
  double (*softmax_loss)(ptrdiff_t rows, ptrdiff_t classes, ptrdiff_t row, const float *z, const int32_t *labels, float *dz,
                         float scale, ptrdiff_t *correct);
  void (*relu)(ptrdiff_t n, float *y);                                              // n: a multiple of 16
  void (*relu_backward)(ptrdiff_t n, const float *y, float *dy);                    // n: a multiple of 16
  void (*column_sums)(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t row, const float *d, float *sums, int accumulate);
  void (*descend)(ptrdiff_t n, float rate, const float *gradient, float *w);         // w -= rate * gradient
  // v = momentum * v + gradient; w -= rate * v
  void (*descend_with_momentum)(ptrdiff_t n, float rate, float momentum, const float *gradient, float *v, float *w);
  void (*divide_bytes)(ptrdiff_t n, const uint8_t *bytes, float divisor, float *out);   // out = bytes / divisor, rounded once
  // sum += weight * round((w - g) * 2^fraction_bits); returns the number of elements refused (not finite, beyond the clip).
  ptrdiff_t (*accumulate)(ptrdiff_t n, const float *w, const float *g, double scale, double clip, int64_t weight,
                          int64_t *sum);
  // w = g + sum / samples / scale, in double
  void (*mean)(ptrdiff_t n, const float *g, const int64_t *sum, double samples, double scale, float *w);
  ptrdiff_t (*not_finite)(ptrdiff_t n, const float *w);                              // how many are not finite
  // Runs of the columns of x[rows, n] in which not all is zero, ascending; returns how many. A gap shorter than `least` is
  // bridged, a run longer than `most` is cut. Room for n of them.
  ptrdiff_t (*live_runs)(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t row, const float *x, ptrdiff_t least, ptrdiff_t most,
                         pm_run *runs);
  // out[c, r] = in[r, c]
  void (*transpose)(ptrdiff_t rows, ptrdiff_t columns, const float *in, ptrdiff_t in_row, float *out, ptrdiff_t out_row);

  // Maps over rows of `width` values at a stride; lanes behind the width are left zero. Gradients replace what the target
  // holds, or are added to it where `accumulate`.
  void (*unary)(int op, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, float alpha, float beta, const float *x, float *y);
  void (*unary_gradient)(int op, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, float alpha, float beta, const float *x,
                         const float *y, const float *dy, float *dx, int accumulate);
  void (*binary)(int op, ptrdiff_t rows, ptrdiff_t width, const pm_operand *a, const pm_operand *b, float *out,
                 ptrdiff_t stride);
  void (*binary_gradient)(int op, int which, ptrdiff_t rows, ptrdiff_t width, const pm_operand *a, const pm_operand *b,
                          const float *dy, float *out, ptrdiff_t stride, int accumulate);
  void (*choose)(ptrdiff_t rows, ptrdiff_t width, const pm_operand *condition, const pm_operand *a, const pm_operand *b,
                 float *out, ptrdiff_t stride, int accumulate);
  void (*reduce)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, const int32_t *table, int is_scalar,
                 float scale, float *out, ptrdiff_t out_stride);
  void (*largest)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, const int32_t *table, int is_scalar,
                  float *out, ptrdiff_t out_stride);
  void (*copy)(const pm_copy_shape *shape, const float *in, float *out, int accumulate);
  void (*dropout)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, uint64_t key, float ratio, const float *x, float *y,
                  int accumulate);
  void (*softmax)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, int is_log, const float *x, float *y);
  void (*softmax_gradient)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, int is_log, const float *y, const float *dy,
                           float *dx, int accumulate);
  void (*row_norm)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, float epsilon, const float *gamma, const float *beta,
                   const float *x, float *y, float *saved);
  void (*row_norm_gradient)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *gamma, const float *x,
                            const float *saved, const float *dy, float *dx, int accumulate, float *dgamma, float *dbeta);
  void (*channel_moments)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, float *mean, float *variance);
  void (*channel_norm)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, const float *mean, const float *r,
                       const float *gamma, const float *beta, int relu, float *y);
  void (*channel_norm_gradient)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, const float *mean,
                                const float *r, const float *gamma, const float *y, const float *dy, int moving, float *dx,
                                int accumulate, float *dgamma, float *dbeta);
  void (*max_window)(const pm_window *w, const float *x, float *y, uint8_t *index);
  void (*max_window_gradient)(const pm_window *w, const uint8_t *index, const float *dy, float *dx);
  void (*mean_window)(const pm_window *w, const float *x, float *y);
  void (*mean_window_gradient)(const pm_window *w, const float *dy, float *dx);
  void (*depthwise)(const pm_window *w, const float *x, const float *kernel, const float *bias, float *y);
  void (*depthwise_gradient)(const pm_window *w, const float *x, const float *kernel, const float *dy, float *dx,
                             float *dkernel);
  void (*lstm_cell)(ptrdiff_t batch, ptrdiff_t units, float *gates, ptrdiff_t gate_stride, const float *c_before, float *c,
                    float *h, ptrdiff_t stride);
  void (*lstm_cell_gradient)(ptrdiff_t batch, ptrdiff_t units, float *gates, ptrdiff_t gate_stride, const float *c_before,
                             const float *c, const float *dh, float *dc, ptrdiff_t stride);
  void (*gru_cell)(ptrdiff_t batch, ptrdiff_t units, float *gates, const float *hidden, ptrdiff_t gate_stride,
                   const float *before, float *h, ptrdiff_t stride);
  void (*gru_cell_gradient)(ptrdiff_t batch, ptrdiff_t units, float *gates, float *hidden, ptrdiff_t gate_stride,
                            const float *before, float *dh, ptrdiff_t stride);
  void (*momentum_step)(ptrdiff_t n, const pm_descent *d, const float *g, const float *origin, float *v, float *w);
  void (*adam_step)(ptrdiff_t n, const pm_descent *d, const float *g, const float *origin, float *m, float *s, float *w);
  double (*squares)(ptrdiff_t n, const float *x);
  // The sum of losses of single values against targets t; a row is correct where every value is on its target's side.
  double (*value_loss)(int kind, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *z, const float *t, float *dz,
                       float scale, ptrdiff_t *correct);
  void (*clear_tails)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, float *x);
  void (*fill_rows)(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *row, float *out);  // width: whole vectors
  void (*fill)(ptrdiff_t n, float value, float *out);
  void (*move)(ptrdiff_t n, const float *from, float *out);
} pm_kernels;

// The best set this processor has, or the one named ("avx512", "avx2", "plain"); null where it has not that one.
const pm_kernels *pm_kernels_named(const char *name);
const pm_kernels *pm_kernels_best(void);
// Products by OpenBLAS instead; null where it cannot be had or is of no use, and then why.
const pm_kernels *pm_kernels_blas(const char **why);

// Zeroed memory on a boundary of 64 bytes, in huge pages where it is large and the system gives them; null where there is none.
void *pm_allocate(size_t bytes);
void pm_free(void *memory);
// What an allocation of so many bytes takes.
size_t pm_allocated_bytes(size_t bytes);
// Keeps freed memory for the next use instead of giving it back to the system at once.
void pm_keep_freed_memory(void);
// Gives freed memory back to the system now.
void pm_release_freed_memory(void);
// Natural logarithm and exponential in double by fixed polynomials: the same bits everywhere.
double pm_log(double x);
double pm_exp(double x);
