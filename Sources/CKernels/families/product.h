// Matrix products. A tile of TILE_ROWS x 16*TILE_VECTORS sums stays in registers; A is broadcast from where it lies, with any
// row stride, so that a convolution over an image with a border is a product too (its kernel rows are s1).
INLINE void tile(const int rows, const int vectors, const int transposed, const pm_product_shape *restrict s,
                 const float *restrict a0, const float *restrict b0, float *restrict c, const float *bias) {
  v16 sum[TILE_ROWS][TILE_VECTORS];
  const ptrdiff_t b_row = s->b_row, c_row = s->c_row, a_step = s->a_step;
  ptrdiff_t depth = s->depth;
  if (s->start == pm_from_sums) {
    UNROLL for (int m = 0; m < rows; m++) {
      UNROLL for (int j = 0; j < vectors; j++) sum[m][j] = LOAD(c + m * c_row + 16 * j);
    }
  } else if (s->start == pm_from_bias) {
    UNROLL for (int j = 0; j < vectors; j++) {
      v16 first = LOAD(bias + 16 * j);
      UNROLL for (int m = 0; m < rows; m++) sum[m][j] = first;
    }
  } else {
    UNROLL for (int m = 0; m < rows; m++) {
      UNROLL for (int j = 0; j < vectors; j++) sum[m][j] = (v16)(0.0f);
    }
  }
  // Byte offsets of the odd rows; an even row is an odd one scaled by the addressing mode. Kept in registers.
  ptrdiff_t offset[TILE_ROWS];
  {
    ptrdiff_t row_bytes = s->a_row * 4;
    UNROLL for (int m = 1; m < rows; m += 2) {
      offset[m] = row_bytes * m;
      __asm__("" : "+r"(offset[m]));
    }
  }
  for (ptrdiff_t s2 = 0; s2 < s->s2; s2++) {
    for (ptrdiff_t s1 = 0; s1 < s->s1; s1++) {
      const float *a = a0 + s2 * s->a_s2 + s1 * s->a_s1;
      const float *b = b0 + s2 * s->b_s2 + s1 * s->b_s1;
      if (!transposed && s->runs) {
        a = a0 + s->runs[s1].begin;
        b = b0 + s->runs[s1].begin * b_row;
        depth = s->runs[s1].count;
      }
      for (ptrdiff_t k = 0; k < depth; k++) {
        v16 bv[TILE_VECTORS];
        UNROLL for (int j = 0; j < vectors; j++) bv[j] = LOAD(b + 16 * j);
        UNROLL for (int m = 0; m < rows; m++) {
          float x;
          if (transposed) {
            x = a[m];
          } else if (m == 0) {
            x = a[0];
          } else {
            int twos = __builtin_ctz(m);
            x = *(const float *)((const char *)a + (offset[m >> twos] << twos));
          }
          v16 av = (v16)(x);
          UNROLL for (int j = 0; j < vectors; j++) sum[m][j] = FMA(av, bv[j], sum[m][j]);
        }
        b += b_row;
        a += transposed ? a_step : 1;
      }
    }
  }
  if (s->epilogue == pm_store) {
    UNROLL for (int m = 0; m < rows; m++) {
      UNROLL for (int j = 0; j < vectors; j++) STORE(c + m * c_row + 16 * j, sum[m][j]);
    }
  } else if (s->epilogue == pm_descend) {
    v16 rate = (v16)(-s->rate);
    UNROLL for (int m = 0; m < rows; m++) {
      UNROLL for (int j = 0; j < vectors; j++)
        STORE(c + m * c_row + 16 * j, FMA(rate, sum[m][j], LOAD(c + m * c_row + 16 * j)));
    }
  } else {
    UNROLL for (int j = 0; j < vectors; j++) {
      v16 add = LOAD(bias + 16 * j);
      UNROLL for (int m = 0; m < rows; m++) {
        v16 y = sum[m][j] + add;
        if (s->epilogue == pm_bias_relu) y = y > (v16)(0.0f) ? y : (v16)(0.0f);
        STORE(c + m * c_row + 16 * j, y);
      }
    }
  }
}

typedef void (*tile_function)(const pm_product_shape *, const float *, const float *, float *, const float *);

#define TILE(m, v)                                                                                                          \
  FUNCTION void tile_##m##_##v(const pm_product_shape *s, const float *a, const float *b, float *c, const float *bias) {    \
    tile(m, v, 0, s, a, b, c, bias);                                                                                        \
  }                                                                                                                         \
  FUNCTION void tile_t_##m##_##v(const pm_product_shape *s, const float *a, const float *b, float *c, const float *bias) {  \
    tile(m, v, 1, s, a, b, c, bias);                                                                                        \
  }
#if TILE_VECTORS == 2
#define TILES(m) TILE(m, 1) TILE(m, 2)
#define ROW(prefix, m) {prefix##m##_1, prefix##m##_2}
#else
#define TILES(m) TILE(m, 1)
#define ROW(prefix, m) {prefix##m##_1, 0}
#endif
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if TILE_ROWS == 14
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14)
#define ROWS(p)                                                                                                             \
  {{0, 0}, ROW(p, 1), ROW(p, 2), ROW(p, 3), ROW(p, 4), ROW(p, 5), ROW(p, 6), ROW(p, 7), ROW(p, 8), ROW(p, 9), ROW(p, 10),   \
   ROW(p, 11), ROW(p, 12), ROW(p, 13), ROW(p, 14)}
#else
#define ROWS(p) {{0, 0}, ROW(p, 1), ROW(p, 2), ROW(p, 3), ROW(p, 4), ROW(p, 5), ROW(p, 6)}
#endif
static const tile_function tiles[2][TILE_ROWS + 1][2] = {ROWS(tile_), ROWS(tile_t_)};

static void product(int transposed, ptrdiff_t rows, ptrdiff_t columns, const pm_product_shape *s, const float *a,
                    const float *b, float *c) {
  if (rows <= 0) return;
  ptrdiff_t blocks = (rows + TILE_ROWS - 1) / TILE_ROWS, base = rows / blocks, extra = rows % blocks;
  for (ptrdiff_t n = 0; n < columns;) {
    int vectors = TILE_VECTORS == 2 && columns - n >= 32 ? 2 : 1;
    ptrdiff_t m = 0;
    for (ptrdiff_t block = 0; block < blocks; block++) {
      ptrdiff_t height = base + (block < extra);
      tiles[transposed][height][vectors - 1](s, a + m * s->a_row, b + n, c + m * s->c_row + n, s->bias ? s->bias + n : 0);
      m += height;
    }
    n += 16 * vectors;
  }
}

INLINE void dot_tile(const int inputs, const int batch, ptrdiff_t n, const float *dy, ptrdiff_t dy_row, const float *w,
                     ptrdiff_t w_row, float *dx, ptrdiff_t dx_row) {
  v16 sum[4][DOT_BATCH];
  UNROLL for (int i = 0; i < inputs; i++) {
    UNROLL for (int j = 0; j < batch; j++) sum[i][j] = (v16)(0.0f);
  }
  for (ptrdiff_t k = 0; k < n; k += 16) {
    v16 wv[DOT_INPUTS];
    UNROLL for (int i = 0; i < inputs; i++) wv[i] = LOAD(w + i * w_row + k);
    UNROLL for (int j = 0; j < batch; j++) {
      v16 d = LOAD(dy + j * dy_row + k);
      UNROLL for (int i = 0; i < inputs; i++) sum[i][j] = FMA(d, wv[i], sum[i][j]);
    }
  }
  UNROLL for (int j = 0; j < batch; j++) {
    if (inputs == 4) {
      *(v4u *)(dx + j * dx_row) = tree_sums(sum[0][j], sum[1][j], sum[2][j], sum[3][j]);
    } else {
      UNROLL for (int i = 0; i < inputs; i++) dx[j * dx_row + i] = tree_sum(sum[i][j]);
    }
  }
}

FUNCTION void dots(ptrdiff_t batch, ptrdiff_t inputs, ptrdiff_t n, const float *dy, ptrdiff_t dy_row, const float *w,
                   ptrdiff_t w_row, float *dx, ptrdiff_t dx_row) {
  ptrdiff_t k = 0;
  for (; k + DOT_INPUTS <= inputs; k += DOT_INPUTS) {
    ptrdiff_t b = 0;
    for (; b + DOT_BATCH <= batch; b += DOT_BATCH)
      dot_tile(DOT_INPUTS, DOT_BATCH, n, dy + b * dy_row, dy_row, w + k * w_row, w_row, dx + b * dx_row + k, dx_row);
    for (; b < batch; b++)
      dot_tile(DOT_INPUTS, 1, n, dy + b * dy_row, dy_row, w + k * w_row, w_row, dx + b * dx_row + k, dx_row);
  }
  for (; k < inputs; k++) {
    ptrdiff_t b = 0;
    for (; b + DOT_BATCH <= batch; b += DOT_BATCH)
      dot_tile(1, DOT_BATCH, n, dy + b * dy_row, dy_row, w + k * w_row, w_row, dx + b * dx_row + k, dx_row);
    for (; b < batch; b++) dot_tile(1, 1, n, dy + b * dy_row, dy_row, w + k * w_row, w_row, dx + b * dx_row + k, dx_row);
  }
}
