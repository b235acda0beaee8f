// Windows that slide over images [height, width, channels]: pools of any shape and depthwise convolutions.

// The first maximum wins, rows before columns; padding never wins. `index` counts the window's taps.
FUNCTION void max_window(const pm_window *w, const float *x, float *y, uint8_t *index) {
  for (ptrdiff_t image = 0; image < w->images; image++) {
    for (ptrdiff_t r = 0; r < w->out_height; r++) {
      for (ptrdiff_t q = 0; q < w->out_width; q++) {
        for (ptrdiff_t k = 0; k < w->channels; k += 16) {
          v16 best = (v16)(0.0f);
          i16 which = (i16)(0);
          int is_first = 1;
          for (ptrdiff_t i = 0; i < w->height_taps; i++) {
            ptrdiff_t row = r * w->row_step + i * w->row_gap - w->top;
            if (row < 0 || row >= w->height) continue;
            for (ptrdiff_t j = 0; j < w->width_taps; j++) {
              ptrdiff_t column = q * w->column_step + j * w->column_gap - w->left;
              if (column < 0 || column >= w->width) continue;
              v16 v = LOAD(x + ((image * w->height + row) * w->width + column) * w->stride + k);
              i16 tap = (i16)((int)(i * w->width_taps + j));
              i16 more = is_first ? (i16)(-1) : (v > best) | (v != v);
              best = more ? v : best;
              which = more ? tap : which;
              is_first = 0;
            }
          }
          ptrdiff_t at = ((image * w->out_height + r) * w->out_width + q) * w->stride + k;
          STORE(y + at, best);
          *(b16 *)(index + at) = __builtin_convertvector(which, b16);
        }
      }
    }
  }
}

// Adds to dx, which the caller has cleared or filled.
FUNCTION void max_window_gradient(const pm_window *w, const uint8_t *index, const float *dy, float *dx) {
  const v16 zero = (v16)(0.0f);
  for (ptrdiff_t image = 0; image < w->images; image++) {
    for (ptrdiff_t r = 0; r < w->out_height; r++) {
      for (ptrdiff_t q = 0; q < w->out_width; q++) {
        for (ptrdiff_t k = 0; k < w->channels; k += 16) {
          ptrdiff_t at = ((image * w->out_height + r) * w->out_width + q) * w->stride + k;
          v16 g = LOAD(dy + at);
          i16 which = __builtin_convertvector(*(const b16 *)(index + at), i16);
          for (ptrdiff_t i = 0; i < w->height_taps; i++) {
            ptrdiff_t row = r * w->row_step + i * w->row_gap - w->top;
            if (row < 0 || row >= w->height) continue;
            for (ptrdiff_t j = 0; j < w->width_taps; j++) {
              ptrdiff_t column = q * w->column_step + j * w->column_gap - w->left;
              if (column < 0 || column >= w->width) continue;
              float *o = dx + ((image * w->height + row) * w->width + column) * w->stride + k;
              STORE(o, LOAD(o) + (which == (i16)((int)(i * w->width_taps + j)) ? g : zero));
            }
          }
        }
      }
    }
  }
}

INLINE float window_share(const pm_window *w, ptrdiff_t r, ptrdiff_t q) {
  ptrdiff_t rows = 0, columns = 0;
  for (ptrdiff_t i = 0; i < w->height_taps; i++) {
    ptrdiff_t row = r * w->row_step + i * w->row_gap - w->top;
    // Where padding counts, what ceil_mode adds beyond it does not.
    rows += w->counts_padding ? row < w->height + w->bottom : row >= 0 && row < w->height;
  }
  for (ptrdiff_t j = 0; j < w->width_taps; j++) {
    ptrdiff_t column = q * w->column_step + j * w->column_gap - w->left;
    columns += w->counts_padding ? column < w->width + w->right : column >= 0 && column < w->width;
  }
  return (float)(rows * columns > 0 ? rows * columns : 1);
}

FUNCTION void mean_window(const pm_window *w, const float *x, float *y) {
  for (ptrdiff_t image = 0; image < w->images; image++) {
    for (ptrdiff_t r = 0; r < w->out_height; r++) {
      for (ptrdiff_t q = 0; q < w->out_width; q++) {
        v16 count = (v16)(window_share(w, r, q));
        for (ptrdiff_t k = 0; k < w->channels; k += 16) {
          v16 sum = (v16)(0.0f);
          for (ptrdiff_t i = 0; i < w->height_taps; i++) {
            ptrdiff_t row = r * w->row_step + i * w->row_gap - w->top;
            if (row < 0 || row >= w->height) continue;
            for (ptrdiff_t j = 0; j < w->width_taps; j++) {
              ptrdiff_t column = q * w->column_step + j * w->column_gap - w->left;
              if (column < 0 || column >= w->width) continue;
              sum += LOAD(x + ((image * w->height + row) * w->width + column) * w->stride + k);
            }
          }
          STORE(y + ((image * w->out_height + r) * w->out_width + q) * w->stride + k, sum / count);
        }
      }
    }
  }
}

// Adds to dx.
FUNCTION void mean_window_gradient(const pm_window *w, const float *dy, float *dx) {
  for (ptrdiff_t image = 0; image < w->images; image++) {
    for (ptrdiff_t r = 0; r < w->out_height; r++) {
      for (ptrdiff_t q = 0; q < w->out_width; q++) {
        v16 count = (v16)(window_share(w, r, q));
        for (ptrdiff_t k = 0; k < w->channels; k += 16) {
          v16 g = LOAD(dy + ((image * w->out_height + r) * w->out_width + q) * w->stride + k) / count;
          for (ptrdiff_t i = 0; i < w->height_taps; i++) {
            ptrdiff_t row = r * w->row_step + i * w->row_gap - w->top;
            if (row < 0 || row >= w->height) continue;
            for (ptrdiff_t j = 0; j < w->width_taps; j++) {
              ptrdiff_t column = q * w->column_step + j * w->column_gap - w->left;
              if (column < 0 || column >= w->width) continue;
              float *o = dx + ((image * w->height + row) * w->width + column) * w->stride + k;
              STORE(o, LOAD(o) + g);
            }
          }
        }
      }
    }
  }
}

// Depthwise convolution: kernel [taps, channels], sums from the bias, taps in order.
FUNCTION void depthwise(const pm_window *w, const float *x, const float *kernel, const float *bias, float *y) {
  for (ptrdiff_t image = 0; image < w->images; image++) {
    for (ptrdiff_t r = 0; r < w->out_height; r++) {
      for (ptrdiff_t q = 0; q < w->out_width; q++) {
        for (ptrdiff_t k = 0; k < w->channels; k += 16) {
          v16 sum = bias ? LOAD(bias + k) : (v16)(0.0f);
          for (ptrdiff_t i = 0; i < w->height_taps; i++) {
            ptrdiff_t row = r * w->row_step + i * w->row_gap - w->top;
            if (row < 0 || row >= w->height) continue;
            for (ptrdiff_t j = 0; j < w->width_taps; j++) {
              ptrdiff_t column = q * w->column_step + j * w->column_gap - w->left;
              if (column < 0 || column >= w->width) continue;
              sum = FMA(LOAD(x + ((image * w->height + row) * w->width + column) * w->stride + k),
                        LOAD(kernel + (i * w->width_taps + j) * w->stride + k), sum);
            }
          }
          STORE(y + ((image * w->out_height + r) * w->out_width + q) * w->stride + k, sum);
        }
      }
    }
  }
}

// Adds to dx and to the kernel's gradient; dx may be null.
FUNCTION void depthwise_gradient(const pm_window *w, const float *x, const float *kernel, const float *dy, float *dx,
                                 float *dkernel) {
  for (ptrdiff_t i = 0; i < w->height_taps; i++) {
    for (ptrdiff_t j = 0; j < w->width_taps; j++) {
      for (ptrdiff_t k = 0; k < w->channels; k += 16) {
        ptrdiff_t tap = (i * w->width_taps + j) * w->stride + k;
        v16 weight = LOAD(kernel + tap), all = LOAD(dkernel + tap);
        for (ptrdiff_t image = 0; image < w->images; image++) {
          v16 sum = (v16)(0.0f);
          for (ptrdiff_t r = 0; r < w->out_height; r++) {
            ptrdiff_t row = r * w->row_step + i * w->row_gap - w->top;
            if (row < 0 || row >= w->height) continue;
            for (ptrdiff_t q = 0; q < w->out_width; q++) {
              ptrdiff_t column = q * w->column_step + j * w->column_gap - w->left;
              if (column < 0 || column >= w->width) continue;
              ptrdiff_t at = ((image * w->height + row) * w->width + column) * w->stride + k;
              v16 g = LOAD(dy + ((image * w->out_height + r) * w->out_width + q) * w->stride + k);
              sum = FMA(g, LOAD(x + at), sum);
              if (dx) STORE(dx + at, FMA(g, weight, LOAD(dx + at)));
            }
          }
          all += sum;
        }
        STORE(dkernel + tap, all);
      }
    }
  }
}
