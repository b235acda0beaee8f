// What is done to every element alike. Operands are rows of `width` values at a stride; lanes behind the width are kept zero.
// The first `left` lanes of v, and behind them those of the other.
INLINE v16 within(v16 v, v16 other, ptrdiff_t left) {
  const i16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return left >= 16 ? v : (lane < (i16)((int)left) ? v : other);
}
INLINE v16 cut(v16 v, ptrdiff_t left) { return within(v, (v16)(0.0f), left); }

INLINE v16 unary_value(const int op, v16 x, float alpha, float beta) {
  const v16 zero = (v16)(0.0f), one = (v16)(1.0f), a = (v16)(alpha), b = (v16)(beta);
  switch (op) {
    case pm_relu: return x > zero ? x : zero;
    case pm_leaky: return x > zero ? x : a * x;
    case pm_elu: return x > zero ? x : a * (exp_any(x) - one);
    case pm_sigmoid: return sigmoid16(x);
    case pm_tanh: return tanh16(x);
    case pm_exponential: return exp_any(x);
    case pm_logarithm: return each_log(x);
    case pm_root: return __builtin_elementwise_sqrt(x);
    case pm_absolute: return __builtin_elementwise_abs(x);
    case pm_power: return each_power(x, alpha);
    case pm_error: return erf16(x);
    case pm_gelu: return (v16)(0.5f) * x * (one + erf16(x * (v16)(SQRT_HALF)));
    case pm_gelu_tanh: return (v16)(0.5f) * x * (one + gelu_inner(x));
    case pm_hard_swish: {
      v16 t = x + (v16)(3.0f);
      t = t < zero ? zero : t;
      t = t > (v16)(6.0f) ? (v16)(6.0f) : t;
      return x * t / (v16)(6.0f);
    }
    case pm_hard_sigmoid: {
      v16 t = FMA(a, x, b);
      t = t < zero ? zero : t;
      return t > one ? one : t;
    }
    case pm_clip: {
      v16 t = x < a ? a : x;
      return t > b ? b : t;
    }
    case pm_affine: return FMA(a, x, b);
    case pm_softplus: {
      v16 size = __builtin_elementwise_abs(x), tail = each_log(one + exp_any(-size));
      return (x > zero ? x : zero) + tail;
    }
    case pm_silu: return x * sigmoid16(x);
  }
  return x;
}

// The derivative at x, where y is the value there.
INLINE v16 unary_slope(const int op, v16 x, v16 y, float alpha, float beta) {
  const v16 zero = (v16)(0.0f), one = (v16)(1.0f), a = (v16)(alpha);
  switch (op) {
    case pm_relu: return y > zero ? one : zero;
    case pm_leaky: return x > zero ? one : a;
    case pm_elu: return x > zero ? one : y + a;
    case pm_sigmoid: return y * (one - y);
    case pm_tanh: return FMA(-y, y, one);
    case pm_exponential: return y;
    case pm_logarithm: return one / x;
    case pm_root: return (v16)(0.5f) / y;
    case pm_absolute: return x > zero ? one : (x < zero ? -one : zero);
    case pm_power: return a * each_power(x, alpha - 1.0f);
    case pm_error: return (v16)(1.12837916709551257f) * exp_any(-x * x);
    case pm_gelu: {
      v16 bell = exp_any((v16)(-0.5f) * x * x) * (v16)(0.39894228040143268f);
      return FMA(x, bell, (v16)(0.5f) * (one + erf16(x * (v16)(SQRT_HALF))));
    }
    case pm_gelu_tanh: {
      v16 t = gelu_inner(x);
      v16 inner = (v16)(ROOT_2_PI) * FMA((v16)(0.134145f) * x, x, one);
      return FMA((v16)(0.5f) * x * FMA(-t, t, one), inner, (v16)(0.5f) * (one + t));
    }
    case pm_hard_swish: {
      v16 middle = (x + x + (v16)(3.0f)) / (v16)(6.0f);
      return x <= (v16)(-3.0f) ? zero : (x >= (v16)(3.0f) ? one : middle);
    }
    case pm_hard_sigmoid: return (y > zero ? (y < one ? a : zero) : zero);
    case pm_clip: return x < a ? zero : (x > (v16)(beta) ? zero : one);
    case pm_affine: return a;
    case pm_softplus: return sigmoid16(x);
    case pm_silu: {
      v16 s = sigmoid16(x);
      return FMA(y, one - s, s);
    }
  }
  return one;
}

#define EACH_UNARY(DO)                                                                                                      \
  DO(pm_relu) DO(pm_leaky) DO(pm_elu) DO(pm_sigmoid) DO(pm_tanh) DO(pm_exponential) DO(pm_logarithm) DO(pm_root)            \
  DO(pm_absolute) DO(pm_power) DO(pm_error) DO(pm_gelu) DO(pm_gelu_tanh) DO(pm_hard_swish) DO(pm_hard_sigmoid) DO(pm_clip)  \
  DO(pm_affine) DO(pm_softplus) DO(pm_silu)

FUNCTION void unary(int op, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, float alpha, float beta, const float *x,
                    float *y) {
#define DO(OP)                                                                                                              \
  case OP:                                                                                                                  \
    for (ptrdiff_t r = 0; r < rows; r++) {                                                                                  \
      for (ptrdiff_t k = 0; k < width; k += 16)                                                                             \
        STORE(y + r * stride + k, cut(unary_value(OP, LOAD(x + r * stride + k), alpha, beta), width - k));                  \
    }                                                                                                                       \
    break;
  switch (op) { EACH_UNARY(DO) }
#undef DO
}

FUNCTION void unary_gradient(int op, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, float alpha, float beta,
                             const float *x, const float *y, const float *dy, float *dx, int accumulate) {
#define DO(OP)                                                                                                              \
  case OP:                                                                                                                  \
    for (ptrdiff_t r = 0; r < rows; r++) {                                                                                  \
      for (ptrdiff_t k = 0; k < width; k += 16) {                                                                           \
        ptrdiff_t i = r * stride + k;                                                                                       \
        v16 g = LOAD(dy + i) * unary_slope(OP, LOAD(x + i), LOAD(y + i), alpha, beta);                                      \
        if (accumulate) g += LOAD(dx + i);                                                                                  \
        STORE(dx + i, cut(g, width - k));                                                                                   \
      }                                                                                                                     \
    }                                                                                                                       \
    break;
  switch (op) { EACH_UNARY(DO) }
#undef DO
}

INLINE v16 operand(const pm_operand *o, ptrdiff_t r, ptrdiff_t k) {
  ptrdiff_t row = o->table ? o->table[r] : r;
  const float *p = o->data + row * o->stride;
  return o->is_scalar ? (v16)(p[0]) : LOAD(p + k);
}

INLINE v16 binary_value(const int op, v16 a, v16 b) {
  const v16 zero = (v16)(0.0f), one = (v16)(1.0f);
  switch (op) {
    case pm_add: return a + b;
    case pm_subtract: return a - b;
    case pm_multiply: return a * b;
    case pm_divide: return a / b;
    case pm_larger: return a > b ? a : b;
    case pm_smaller: return a < b ? a : b;
    case pm_is_equal: return a == b ? one : zero;
    case pm_is_less: return a < b ? one : zero;
    case pm_is_at_most: return a <= b ? one : zero;
    case pm_both: return ((a != zero) & (b != zero)) ? one : zero;
    case pm_either: return ((a != zero) | (b != zero)) ? one : zero;
  }
  return a;
}

// What dy is worth for the first operand (which 0) or the second (1).
INLINE v16 binary_slope(const int op, const int which, v16 a, v16 b, v16 dy) {
  const v16 zero = (v16)(0.0f);
  switch (op) {
    case pm_add: return dy;
    case pm_subtract: return which ? -dy : dy;
    case pm_multiply: return dy * (which ? a : b);
    case pm_divide: return which ? -(dy * (a / b)) / b : dy / b;
    case pm_larger: return which ? (b > a ? dy : zero) : (b > a ? zero : dy);
    case pm_smaller: return which ? (b < a ? dy : zero) : (b < a ? zero : dy);
  }
  return zero;
}

#define EACH_BINARY(DO)                                                                                                     \
  DO(pm_add) DO(pm_subtract) DO(pm_multiply) DO(pm_divide) DO(pm_larger) DO(pm_smaller) DO(pm_is_equal) DO(pm_is_less)      \
  DO(pm_is_at_most) DO(pm_both) DO(pm_either)

FUNCTION void binary(int op, ptrdiff_t rows, ptrdiff_t width, const pm_operand *a, const pm_operand *b, float *out,
                     ptrdiff_t stride) {
#define DO(OP)                                                                                                              \
  case OP:                                                                                                                  \
    for (ptrdiff_t r = 0; r < rows; r++) {                                                                                  \
      for (ptrdiff_t k = 0; k < width; k += 16)                                                                             \
        STORE(out + r * stride + k, cut(binary_value(OP, operand(a, r, k), operand(b, r, k)), width - k));                  \
    }                                                                                                                       \
    break;
  switch (op) { EACH_BINARY(DO) }
#undef DO
}

FUNCTION void binary_gradient(int op, int which, ptrdiff_t rows, ptrdiff_t width, const pm_operand *a, const pm_operand *b,
                              const float *dy, float *out, ptrdiff_t stride, int accumulate) {
#define DO(OP)                                                                                                              \
  case OP:                                                                                                                  \
    for (ptrdiff_t r = 0; r < rows; r++) {                                                                                  \
      for (ptrdiff_t k = 0; k < width; k += 16) {                                                                           \
        ptrdiff_t i = r * stride + k;                                                                                       \
        v16 va = operand(a, r, k), vb = operand(b, r, k), d = LOAD(dy + i);                                                 \
        v16 g = which ? binary_slope(OP, 1, va, vb, d) : binary_slope(OP, 0, va, vb, d);                                    \
        if (accumulate) g += LOAD(out + i);                                                                                 \
        STORE(out + i, cut(g, width - k));                                                                                  \
      }                                                                                                                     \
    }                                                                                                                       \
    break;
  switch (op) { EACH_BINARY(DO) }
#undef DO
}

FUNCTION void choose(ptrdiff_t rows, ptrdiff_t width, const pm_operand *condition, const pm_operand *a, const pm_operand *b,
                     float *out, ptrdiff_t stride, int accumulate) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 c = operand(condition, r, k), va = operand(a, r, k), vb = operand(b, r, k);
      v16 v = c != (v16)(0.0f) ? va : vb;
      float *o = out + r * stride + k;
      if (accumulate) v += LOAD(o);
      STORE(o, cut(v, width - k));
    }
  }
}

// out[table[r]] += scale * x[r], rows in order; with is_scalar the row's sum (lanes and tree) instead. Without a table all
// go to row 0, in blocks of 64 rows whose sums are added in order.
FUNCTION void reduce(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, const int32_t *table, int is_scalar,
                     float scale, float *out, ptrdiff_t out_stride) {
  if (!table && !is_scalar) {
    for (ptrdiff_t k = 0; k < width; k += 16) {
      v16 all = (v16)(0.0f);
      for (ptrdiff_t first = 0; first < rows; first += 64) {
        ptrdiff_t end = first + 64 < rows ? first + 64 : rows;
        v16 sum = (v16)(0.0f);
        for (ptrdiff_t r = first; r < end; r++) sum += LOAD(x + r * stride + k);
        all += sum;
      }
      STORE(out + k, cut(FMA((v16)(scale), all, LOAD(out + k)), width - k));
    }
    return;
  }
  for (ptrdiff_t r = 0; r < rows; r++) {
    float *o = out + (table ? table[r] : 0) * out_stride;
    const float *p = x + r * stride;
    if (is_scalar) {
      v16 sum = (v16)(0.0f);
      for (ptrdiff_t k = 0; k < width; k += 16) sum += cut(LOAD(p + k), width - k);
      o[0] += scale * tree_sum(sum);
    } else {
      for (ptrdiff_t k = 0; k < width; k += 16) STORE(o + k, cut(FMA((v16)(scale), LOAD(p + k), LOAD(o + k)), width - k));
    }
  }
}

// The largest along each row (is_scalar) or of all rows that go to one row; where it stands is not remembered.
FUNCTION void largest(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *x, const int32_t *table, int is_scalar,
                      float *out, ptrdiff_t out_stride) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    float *o = out + (table ? table[r] : 0) * out_stride;
    const float *p = x + r * stride;
    for (ptrdiff_t k = 0; k < width; k++) {
      float *to = is_scalar ? o : o + k;
      if (p[k] > *to) *to = p[k];
    }
  }
}

// One stretch of a copy: n elements.
INLINE void copy_line(ptrdiff_t n, const float *in, ptrdiff_t in_step, float *out, ptrdiff_t out_step, int accumulate) {
  if (in_step == 1 && out_step == 1) {
    ptrdiff_t i = 0;
    if (accumulate) {
      for (; i + 16 <= n; i += 16) STORE(out + i, LOAD(out + i) + LOAD(in + i));
      for (; i < n; i++) out[i] += in[i];
    } else {
      for (; i + 16 <= n; i += 16) STORE(out + i, LOAD(in + i));
      for (; i < n; i++) out[i] = in[i];
    }
    return;
  }
  if (accumulate) {
    for (ptrdiff_t i = 0; i < n; i++) out[i * out_step] += in[i * in_step];
  } else {
    for (ptrdiff_t i = 0; i < n; i++) out[i * out_step] = in[i * in_step];
  }
}

// Copies a block of up to six dimensions, outermost first, from one set of strides to another. The two innermost are
// transposed in squares of eight where one side is contiguous in each.
FUNCTION void copy(const pm_copy_shape *s, const float *in, float *out, int accumulate) {
  const ptrdiff_t *n = s->size;
  int is_transpose = !accumulate && s->in_step[4] == 1 && s->out_step[5] == 1 && n[4] >= 8 && n[5] >= 8;
  for (ptrdiff_t a = 0; a < n[0]; a++) {
    for (ptrdiff_t b = 0; b < n[1]; b++) {
      for (ptrdiff_t c = 0; c < n[2]; c++) {
        for (ptrdiff_t d = 0; d < n[3]; d++) {
          const float *p = in + a * s->in_step[0] + b * s->in_step[1] + c * s->in_step[2] + d * s->in_step[3];
          float *o = out + a * s->out_step[0] + b * s->out_step[1] + c * s->out_step[2] + d * s->out_step[3];
          if (is_transpose) {
            transpose(n[5], n[4], p, s->in_step[5], o, s->out_step[4]);
            continue;
          }
          for (ptrdiff_t e = 0; e < n[4]; e++)
            copy_line(n[5], p + e * s->in_step[4], s->in_step[5], o + e * s->out_step[4], s->out_step[5], accumulate);
        }
      }
    }
  }
}

// A mask by counting: element i of row r stays where the hash of (key, r * width + i) is at least the ratio.
FUNCTION void dropout(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, uint64_t key, float ratio, const float *x, float *y,
                      int accumulate) {
  float scale = ratio < 1.0f ? 1.0f / (1.0f - ratio) : 0.0f;
  // What a ratio of 1 makes is beyond 32 bits; processors convert that in different ways.
  uint32_t threshold = ratio < 1.0f ? (uint32_t)((double)ratio * 4294967296.0) : UINT32_MAX;
  for (ptrdiff_t r = 0; r < rows; r++) {
    for (ptrdiff_t k = 0; k < width; k++) {
      uint64_t z = key + (uint64_t)(r * width + k) * 0x9E3779B97F4A7C15ull;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
      z ^= z >> 31;
      float kept = (uint32_t)(z >> 32) >= threshold ? x[r * stride + k] * scale : 0.0f;
      y[r * stride + k] = accumulate ? y[r * stride + k] + kept : kept;
    }
  }
}

// Zeroes the lanes behind the width of every row.
FUNCTION void clear_tails(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, float *x) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    for (ptrdiff_t k = width; k < stride; k++) x[r * stride + k] = 0.0f;
  }
}

// Every row becomes the given one, or zero where that is null.
FUNCTION void fill_rows(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride, const float *row, float *out) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    for (ptrdiff_t k = 0; k < width; k += 16) STORE(out + r * stride + k, row ? LOAD(row + k) : (v16)(0.0f));
  }
}

FUNCTION void fill(ptrdiff_t n, float value, float *out) {
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) STORE(out + i, (v16)(value));
  for (; i < n; i++) out[i] = value;
}

FUNCTION void move(ptrdiff_t n, const float *from, float *out) { __builtin_memcpy(out, from, (size_t)n * 4); }
