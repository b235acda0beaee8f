// Every kernel of the table, with inputs of several magnitudes, widths that are whole vectors and that are not, all options,
// and every pointer that may be null both ways.
#pragma once
#include "support.h"

static const kind finite_kinds[] = {mild, wide, tiny, ties}, all_kinds[] = {mild, wide, tiny, ties, masked, wild};
#define EACH(type, name, ...)                                                                                               \
  for (const type *name##_at = (const type[]){__VA_ARGS__}, *name##_end = name##_at + sizeof((type[]){__VA_ARGS__}) / sizeof(type); \
       name##_at < name##_end; name##_at++)                                                                                 \
    for (type name = *name##_at, name##_once = 1; name##_once; name##_once = 0)
#define EACH_KIND(name, list)                                                                                               \
  for (size_t name##_at = 0; name##_at < sizeof(list) / sizeof(list[0]); name##_at++)                                       \
    for (kind name = list[name##_at], *name##_once = &name; name##_once; name##_once = 0)

// MARK: products

static void product(void) {
  const count columns_of[] = {16, 32, 48, 80}, depths[] = {1, 7, 22};
  const count outer[][2] = {{1, 1}, {3, 1}, {2, 2}};
  count turn = 0;
  for (int transposed = 0; transposed < 2; transposed++) {
    for (int start = 0; start < 3; start++) {
      for (int epilogue = 0; epilogue < 4; epilogue++) {
        EACH(count, rows, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 29) {
          count columns = columns_of[turn % 4], depth = depths[turn % 3], ones = outer[turn / 3 % 3][0],
                twos = outer[turn / 3 % 3][1];
          kind kind = turn % 11 == 0 ? wild : finite_kinds[turn % 5 % 4];
          // Rows of a convolution's images overlap.
          count a_row = turn % 7 == 0 ? 3 : depth + turn % 3;
          pm_product_shape s = {.depth = depth, .s1 = ones, .s2 = twos, .start = start, .epilogue = epilogue, .rate = 0.3f};
          s.a_row = transposed ? 1 : a_row;
          s.a_step = transposed ? rows + turn % 4 : 1;
          count block = transposed ? depth * s.a_step : (rows - 1) * a_row + depth;
          s.a_s1 = block + turn % 2;
          s.a_s2 = ones * s.a_s1;
          s.b_row = columns + (turn % 3) * 8;
          s.b_s1 = depth * s.b_row;
          s.b_s2 = ones * s.b_s1;
          s.c_row = columns + (turn % 2) * 5;
          const float *a = floats(twos * s.a_s2, kind), *b = floats(twos * s.b_s2, kind);
          if (start == pm_from_bias || epilogue == pm_bias || epilogue == pm_bias_relu) s.bias = floats(columns, kind);
          float *c = floats(rows * s.c_row, kind);
          set->product(transposed, rows, columns, &s, a, b, c);
          keep(c, rows * s.c_row);
          end_case();
          turn++;
        }
      }
    }
  }
  // With runs: what lies between them adds nothing.
  for (int start = 0; start < 3; start++) {
    for (int epilogue = 0; epilogue < 4; epilogue++) {
      EACH(count, rows, 1, 5, 6, 14, 20) {
        count columns = columns_of[turn % 4], depth = 61, runs = turn % 5;
        pm_run *run = bytes_of(4 * (count)sizeof(pm_run));
        for (count i = 0; i < runs; i++) run[i] = (pm_run){(int32_t)(i * 15 + turn % 3), (int32_t)(1 + (turn + i) % 9)};
        pm_product_shape s = {.a_row = depth + 3, .a_step = 1, .b_row = columns, .c_row = columns, .s1 = runs, .s2 = 1,
                              .runs = run, .start = start, .epilogue = epilogue, .rate = 0.01f};
        const float *a = floats(rows * s.a_row, mild), *b = floats(depth * columns, mild);
        s.bias = floats(columns, mild);
        float *c = floats(rows * columns, mild);
        set->product(0, rows, columns, &s, a, b, c);
        keep(c, rows * columns);
        end_case();
        turn++;
      }
    }
  }
}

static void dots(void) {
  count turn = 0;
  EACH(count, batch, 1, 2, 3, 5, 7, 10, 11) {
    EACH(count, inputs, 1, 2, 3, 4, 5, 8, 13) {
      EACH(count, n, 16, 48, 112) {
        kind kind = all_kinds[turn % 6];
        count dy_row = n + turn % 3 * 8, w_row = n + turn % 2 * 16, dx_row = padded(inputs) + turn % 2;
        const float *dy = floats(batch * dy_row, kind), *w = floats(inputs * w_row, kind);
        float *dx = rows_of(batch, inputs, dx_row, mild);
        set->dots(batch, inputs, n, dy, dy_row, w, w_row, dx, dx_row);
        keep_rows(dx, batch, inputs, dx_row);
        end_case();
        turn++;
      }
    }
  }
}

// MARK: pools of 2x2

static void pools(int backward) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, h, 1, 3) {
      EACH(count, c, 16, 48) {
        for (int option = 0; option < 2; option++) {
          count n = 2, w = h + 1, row = w * c + 16 * option, image = h * row + 32 * option;
          const float *y = floats(n * 4 * h * w * c, kind);
          float *out = zeros(n * image);
          uint8_t *index = bytes_of(n * h * w * c);
          set->pool(n, h, w, c, option, y, out, row, image, index);
          if (!backward) {
            keep(out, n * image);
            keep_bytes(index, 1, n * h * w * c, n * h * w * c);
          } else {
            count dy_row = (2 * w + 2) * c, dy_image = (2 * h + 2) * dy_row;
            const float *dp = floats(n * image, kind);
            float *dy = zeros(n * dy_image), *db = floats(c, kind);
            set->pool_backward(n, h, w, c, option, out, row, image, dp, row, image, index, dy + dy_row + c, dy_row, dy_image, db);
            keep(dy, n * dy_image);
            keep(db, c);
          }
          end_case();
        }
      }
    }
  }
}
static void pool(void) { pools(0); }
static void pool_backward(void) { pools(1); }

// MARK: losses

static void softmax_loss(void) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, classes, 1, 2, 10, 16, 17, 40) {
      for (int option = 0; option < 4; option++) {
        count rows = 7, row = padded(classes) + 16 * (option & 1), correct = 3;
        const float *z = rows_of(rows, classes, row, kind);
        const int32_t *labels = table_of(rows, classes);
        float *dz = option & 2 ? zeros(rows * row) : 0;
        keep_double(set->softmax_loss(rows, classes, row, z, labels, dz, 1.0f / 7, &correct));
        keep_whole((uint64_t)correct);
        if (dz) keep_rows(dz, rows, classes, row);
        end_case();
      }
    }
  }
}

static void value_loss(void) {
  for (int loss = 0; loss < 3; loss++) {
    EACH_KIND(kind, all_kinds) {
      EACH(count, width, 1, 3, 16, 21) {
        for (int option = 0; option < 4; option++) {
          count rows = 5, stride = padded(width) + 16 * (option & 1), correct = 2;
          float *z = rows_of(rows, width, stride, loss == pm_binary_shares && kind != wild ? share : kind);
          float *t = rows_of(rows, width, stride, loss == pm_squared ? kind : share);
          float *dz = option & 2 ? zeros(rows * stride) : 0;
          keep_double(set->value_loss(loss, rows, width, stride, z, t, dz, 0.125f, &correct));
          keep_whole((uint64_t)correct);
          if (dz) keep_rows(dz, rows, width, stride);
          end_case();
        }
      }
    }
  }
}

// MARK: whole vectors

static void relu(void) {
  EACH_KIND(kind, all_kinds) {
    float *y = floats(112, kind);
    set->relu(112, y);
    keep(y, 112);
    end_case();
  }
}
static void relu_backward(void) {
  EACH_KIND(kind, all_kinds) {
    float *y = floats(112, kind), *dy = floats(112, kind);
    set->relu_backward(112, y, dy);
    keep(dy, 112);
    end_case();
  }
}
static void column_sums(void) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, rows, 0, 1, 9) {
      for (int accumulate = 0; accumulate < 2; accumulate++) {
        count n = 48, row = n + 16 * accumulate;
        float *d = floats(rows * row, kind), *sums = floats(n, kind);
        set->column_sums(rows, n, row, d, sums, accumulate);
        keep(sums, n);
        end_case();
      }
    }
  }
}
static void descend(void) {
  EACH_KIND(kind, all_kinds) {
    float *g = floats(112, kind), *w = floats(112, kind);
    set->descend(112, 0.05f, g, w);
    keep(w, 112);
    end_case();
  }
}
static void descend_with_momentum(void) {
  EACH_KIND(kind, all_kinds) {
    float *g = floats(112, kind), *v = floats(112, kind), *w = floats(112, kind);
    for (int step = 0; step < 3; step++) set->descend_with_momentum(112, 0.05f, 0.9f, g, v, w);
    keep(v, 112);
    keep(w, 112);
    end_case();
  }
}

// MARK: samples and rounds

static void divide_bytes(void) {
  EACH(count, n, 0, 1, 15, 16, 17, 300) {
    EACH(float, divisor, 1, 255, 127.5f, 0.3f) {
      uint8_t *in = bytes_of(n);
      for (count i = 0; i < n; i++) in[i] = n == 300 ? (uint8_t)i : (uint8_t)next_chance();
      float *out = zeros(n);
      set->divide_bytes(n, in, divisor, out);
      keep(out, n);
      end_case();
    }
  }
}
static int64_t *sums_of(count n) {
  int64_t *sums = bytes_of(n * 8);
  // Beyond 2^53 as well, where a double has not every whole number.
  for (count i = 0; i < n; i++) sums[i] = (int64_t)next_chance() >> (2 + below(60));
  return sums;
}
static void accumulate(void) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, n, 1, 16, 37, 100) {
      EACH(int64_t, weight, 1, 600, -600) {
        const float *w = floats(n, kind), *g = floats(n, kind == wild ? mild : kind);
        int64_t *sums = sums_of(n);
        // Some scales leave halves to be rounded.
        double scale = n == 16 ? 1.0 : n == 37 ? 0x1p52 : 0x1p32, clip = n == 37 ? 0.5 : 1000;
        keep_whole((uint64_t)set->accumulate(n, w, g, scale, clip, weight, sums));
        keep_bytes((uint8_t *)sums, 1, n * 8, n * 8);
        end_case();
      }
    }
  }
}
static void mean(void) {
  EACH_KIND(kind, finite_kinds) {
    EACH(count, n, 1, 16, 37, 100) {
      const float *g = floats(n, kind);
      float *w = zeros(n);
      set->mean(n, g, sums_of(n), n == 16 ? 3 : 600, n == 37 ? 0x1p52 : 0x1p32, w);
      keep(w, n);
      end_case();
    }
  }
}
static void not_finite(void) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, n, 0, 1, 16, 37, 100) {
      keep_whole((uint64_t)set->not_finite(n, floats(n, kind)));
      end_case();
    }
  }
}
static void live_runs(void) {
  EACH(count, rows, 1, 3, 20) {
    EACH(count, n, 1, 15, 16, 33, 200) {
      EACH(count, least, 1, 2, 4) {
        EACH(count, most, 3, 64) {
          count row = n + n % 3;
          float *x = rows_of(rows, n, row, n % 2 ? wild : tiny);
          for (count i = 0; i < n; i++) {
            for (count r = 0; r < rows && (i % 7 == 2 || i / 9 % 2 == 1); r++) x[r * row + i] = r % 2 ? -0.0f : 0.0f;
          }
          pm_run *runs = bytes_of(n * (count)sizeof(pm_run));
          count found = set->live_runs(rows, n, row, x, least, most, runs);
          keep_whole((uint64_t)found);
          keep_bytes((uint8_t *)runs, 1, found * 8, found * 8);
          end_case();
        }
      }
    }
  }
}
static void transpose(void) {
  EACH(count, rows, 1, 7, 8, 17, 40) {
    EACH(count, columns, 1, 8, 9, 31, 48) {
      count in_row = columns + rows % 3, out_row = rows + columns % 4;
      const float *in = floats(rows * in_row, mild);
      float *out = zeros(columns * out_row);
      set->transpose(rows, columns, in, in_row, out, out_row);
      keep(out, columns * out_row);
      end_case();
    }
  }
}

// MARK: maps

static const float unary_numbers[][2] = {{0.01f, 0}, {-1.5f, 1.5f}, {0.2f, 0.5f}, {2, 0}, {3, 0}, {0.5f, 0}, {-0.5f, 0}, {-1, 0}, {1, 0}, {1.7f, -2}};
static void unaries(int gradient) {
  for (int op = 0; op <= pm_silu; op++) {
    EACH_KIND(kind, all_kinds) {
      EACH(count, width, 1, 16, 45) {
        for (int option = 0; option < 10; option++) {
          int uses_numbers = op == pm_leaky || op == pm_elu || op == pm_power || op == pm_hard_sigmoid || op == pm_clip || op == pm_affine;
          if (option > 1 && !uses_numbers) break;
          float alpha = unary_numbers[option][0], beta = unary_numbers[option][1];
          count rows = 3, stride = padded(width) + 16 * (option & 1);
          float *x = rows_of(rows, width, stride, kind), *y = option & 1 ? x : zeros(rows * stride);
          if (!gradient) {
            set->unary(op, rows, width, stride, alpha, beta, x, y);
            keep_rows(y, rows, width, stride);
          } else {
            y = rows_of(rows, width, stride, kind);
            float *dy = rows_of(rows, width, stride, kind == wild ? mild : kind);
            float *dx = rows_of(rows, width, stride, mild);
            // What a step has is x, its value, and the slope.
            if (option != 1) set->unary(op, rows, width, stride, alpha, beta, x, y);
            set->unary_gradient(op, rows, width, stride, alpha, beta, x, y, dy, dx, option & 1);
            keep_rows(dx, rows, width, stride);
          }
          end_case();
        }
      }
    }
  }
}
static void unary(void) { unaries(0); }
static void unary_gradient(void) { unaries(1); }

// An operand for `rows` of `width`: whole, with a table of rows, a scalar for each row, or one for all.
static pm_operand operand_of(int form, count rows, count width, count stride, kind kind) {
  pm_operand o = {.stride = stride};
  count own = form == 1 ? 3 : form == 3 ? 1 : rows;
  if (form == 1) o.table = table_of(rows, own);
  if (form == 3) o.table = table_of(rows, 1);
  if (form >= 2) {
    o.is_scalar = 1;
    o.stride = 16;
  }
  o.data = rows_of(own, form >= 2 ? 1 : width, o.stride, kind);
  return o;
}
static void binaries(int gradient) {
  for (int op = 0; op <= pm_either; op++) {
    EACH_KIND(kind, all_kinds) {
      EACH(count, width, 1, 16, 45) {
        for (int form = 0; form < 8; form++) {
          count rows = 5, stride = padded(width) + 16 * (form & 1);
          int of_b = form < 4 ? 0 : form - 4;
          pm_operand a = operand_of(form % 4, rows, width, stride, kind), b = operand_of(of_b, rows, width, stride, kind);
          float *out = rows_of(rows, width, stride, mild);
          if (!gradient) {
            set->binary(op, rows, width, &a, &b, out, stride);
            keep_rows(out, rows, width, stride);
          } else {
            float *dy = rows_of(rows, width, stride, kind == wild ? mild : kind);
            for (int which = 0; which < 2; which++) {
              set->binary_gradient(op, which, rows, width, &a, &b, dy, out, stride, (form + which) & 1);
              keep_rows(out, rows, width, stride);
            }
          }
          end_case();
        }
      }
    }
  }
}
static void binary(void) { binaries(0); }
static void binary_gradient(void) { binaries(1); }

static void choose(void) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, width, 1, 16, 45) {
      for (int form = 0; form < 8; form++) {
        count rows = 5, stride = padded(width) + 16 * (form & 1);
        pm_operand c = operand_of(form % 4, rows, width, stride, ties), a = operand_of(form / 2, rows, width, stride, kind),
                   b = operand_of(3 - form / 2, rows, width, stride, kind);
        float *out = rows_of(rows, width, stride, mild);
        for (int accumulate = 0; accumulate < 2; accumulate++) {
          set->choose(rows, width, &c, &a, &b, out, stride, accumulate);
          keep_rows(out, rows, width, stride);
        }
        end_case();
      }
    }
  }
}

static void reductions(int is_largest) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, width, 1, 16, 45) {
      EACH(count, rows, 1, 7, 150) {
        for (int option = 0; option < 4; option++) {
          count stride = padded(width) + 16 * (option & 1), targets = option & 1 ? 3 : 1;
          int is_scalar = option >> 1;
          count out_width = is_scalar ? 1 : width, out_stride = padded(out_width);
          const float *x = rows_of(rows, width, stride, kind);
          const int32_t *table = option & 1 ? table_of(rows, targets) : 0;
          float *out = rows_of(targets, out_width, out_stride, mild);
          if (is_largest) {
            for (count r = 0; r < targets; r++) {
              for (count i = 0; i < out_width; i++) out[r * out_stride + i] = -__builtin_inff();
            }
            set->largest(rows, width, stride, x, table, is_scalar, out, out_stride);
          } else {
            set->reduce(rows, width, stride, x, table, is_scalar, option ? 1.0f / 45 : 1, out, out_stride);
          }
          keep_rows(out, targets, out_width, out_stride);
          end_case();
        }
      }
    }
  }
}
static void reduce(void) { reductions(0); }
static void largest(void) { reductions(1); }

static void copy(void) {
  // Sizes, and the order of dimensions in the source, the first the outermost.
  const struct {
    count size[6];
    int order[6];
  } forms[] = {{{1, 1, 1, 1, 1, 37}, {0, 1, 2, 3, 4, 5}}, {{1, 1, 1, 3, 9, 16}, {0, 1, 2, 3, 4, 5}},
               {{1, 1, 2, 2, 9, 17}, {0, 1, 2, 3, 5, 4}}, {{1, 2, 3, 2, 4, 5}, {1, 0, 4, 3, 5, 2}},
               {{1, 1, 1, 2, 8, 8}, {0, 1, 2, 3, 5, 4}},  {{2, 2, 1, 3, 20, 7}, {5, 4, 3, 2, 1, 0}}};
  for (size_t form = 0; form < sizeof(forms) / sizeof(forms[0]); form++) {
    for (int option = 0; option < 8; option++) {
      pm_copy_shape s;
      count in_floats = option & 2 ? 2 : 1, out_floats = option & 4 ? 3 : 1;
      for (int i = 5; i >= 0; i--) {
        int axis = forms[form].order[i];
        s.size[i] = forms[form].size[i];
        s.in_step[axis] = in_floats;
        in_floats *= forms[form].size[axis];
        s.out_step[i] = out_floats;
        out_floats *= s.size[i];
      }
      const float *in = floats(in_floats, all_kinds[option % 6]);
      float *out = floats(out_floats, mild);
      set->copy(&s, in, out, option & 1);
      keep(out, out_floats);
      end_case();
    }
  }
}

static void dropout(void) {
  EACH(float, ratio, 0, 1e-9f, 0.1f, 0.5f, 0.99999994f, 1) {
    EACH(count, width, 1, 16, 45) {
      for (int accumulate = 0; accumulate < 2; accumulate++) {
        count rows = 20, stride = padded(width);
        const float *x = rows_of(rows, width, stride, mild);
        float *y = rows_of(rows, width, stride, mild);
        set->dropout(rows, width, stride, next_chance(), ratio, x, y, accumulate);
        keep_rows(y, rows, width, stride);
        end_case();
      }
    }
  }
}
static void clear_tails(void) {
  EACH(count, width, 1, 15, 16, 45) {
    EACH(count, more, 0, 16) {
      count rows = 4, stride = padded(width) + more;
      float *x = floats(rows * stride, wild);
      set->clear_tails(rows, width, stride, x);
      keep(x, rows * stride);
      end_case();
    }
  }
}
static void fill_rows(void) {
  EACH(count, width, 16, 48) {
    for (int option = 0; option < 4; option++) {
      count rows = 4, stride = width + 16 * (option & 1);
      const float *row = option & 2 ? floats(width, wild) : 0;
      float *out = floats(rows * stride, mild);
      set->fill_rows(rows, width, stride, row, out);
      keep(out, rows * stride);
      end_case();
    }
  }
}

static void fill(void) {
  EACH(count, n, 1, 15, 16, 17, 100) {
    float *out = floats(n, mild);
    set->fill(n, 0.75f, out);
    keep(out, n);
    end_case();
  }
}
static void move(void) {
  EACH(count, n, 1, 15, 16, 17, 100) {
    const float *from = floats(n, wild);
    float *out = floats(n, mild);
    set->move(n, from, out);
    keep(out, n);
    end_case();
  }
}

// MARK: softmax and norms

static void softmaxes(int gradient) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, width, 1, 2, 15, 16, 17, 64, 77) {
      for (int option = 0; option < 4; option++) {
        count rows = 5, stride = padded(width) + 16 * (option & 1);
        int is_log = option & 1;
        const float *x = rows_of(rows, width, stride, kind);
        float *y = zeros(rows * stride);
        set->softmax(rows, width, stride, is_log, x, y);
        if (gradient) {
          float *dy = rows_of(rows, width, stride, kind), *dx = rows_of(rows, width, stride, mild);
          if (around == tails_foul) {
            for (count i = 0; i < rows * stride; i++) y[i] = i % stride < width ? y[i] : foul(i);
          }
          set->softmax_gradient(rows, width, stride, is_log, y, dy, dx, option >> 1);
          keep_rows(dx, rows, width, stride);
        } else {
          keep_rows(y, rows, width, stride);
        }
        end_case();
      }
    }
  }
}
static void softmax(void) { softmaxes(0); }
static void softmax_gradient(void) { softmaxes(1); }

static void row_norms(int gradient) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, width, 1, 16, 45) {
      for (int option = 0; option < 16; option++) {
        count rows = 5, stride = padded(width) + 16 * (option & 1);
        const float *x = rows_of(rows, width, stride, kind);
        const float *gamma = option & 2 ? rows_of(1, width, padded(width), mild) : 0;
        const float *beta = option & 4 ? rows_of(1, width, padded(width), mild) : 0;
        float *y = zeros(rows * stride), *saved = zeros(rows * 2);
        set->row_norm(rows, width, stride, option & 8 ? 1e-5f : 1e-12f, gamma, beta, x, y, saved);
        if (gradient) {
          const float *dy = rows_of(rows, width, stride, kind);
          float *dx = option & 8 ? rows_of(rows, width, stride, mild) : 0;
          float *dgamma = option & 1 ? rows_of(1, width, padded(width), mild) : 0;
          float *dbeta = option & 4 ? rows_of(1, width, padded(width), mild) : 0;
          for (int adds = 0; adds < 2; adds++) set->row_norm_gradient(rows, width, stride, gamma, x, saved, dy, dx, adds, dgamma, dbeta);
          if (dx) keep_rows(dx, rows, width, stride);
          if (dgamma) keep_rows(dgamma, 1, width, padded(width));
          if (dbeta) keep_rows(dbeta, 1, width, padded(width));
        } else {
          keep_rows(y, rows, width, stride);
          keep(saved, rows * 2);
        }
        end_case();
      }
    }
  }
}
static void row_norm(void) { row_norms(0); }
static void row_norm_gradient(void) { row_norms(1); }

static void channel_norms(int which) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, width, 1, 16, 45) {
      for (int option = 0; option < 32; option++) {
        count rows = 11, room_of = padded(width), stride = room_of + 16 * (option & 1);
        const float *x = rows_of(rows, width, stride, kind);
        float *mean = zeros(room_of), *variance = zeros(room_of), *r = zeros(room_of);
        set->channel_moments(rows, width, stride, x, mean, variance);
        if (which == 0) {
          keep_rows(mean, 1, width, room_of);
          keep_rows(variance, 1, width, room_of);
          end_case();
          if (option == 1) break;
          continue;
        }
        for (count i = 0; i < room_of; i++) r[i] = 1 / __builtin_sqrtf(variance[i] + 1e-5f);
        const float *gamma = rows_of(1, width, room_of, mild), *beta = rows_of(1, width, room_of, mild);
        int has_relu = option >> 1 & 1;
        float *y = zeros(rows * stride);
        set->channel_norm(rows, width, stride, x, mean, r, gamma, beta, has_relu, y);
        if (which == 1) {
          keep_rows(y, rows, width, stride);
          end_case();
          if (option == 3) break;
          continue;
        }
        const float *dy = rows_of(rows, width, stride, kind);
        float *dx = option & 4 ? rows_of(rows, width, stride, mild) : 0;
        float *dgamma = option & 8 ? rows_of(1, width, room_of, mild) : 0;
        float *dbeta = option & 16 ? rows_of(1, width, room_of, mild) : 0;
        for (int adds = 0; adds < 2; adds++)
          set->channel_norm_gradient(rows, width, stride, x, mean, r, gamma, has_relu ? y : 0, dy, option & 1, dx, adds, dgamma, dbeta);
        if (dx) keep_rows(dx, rows, width, stride);
        if (dgamma) keep_rows(dgamma, 1, width, room_of);
        if (dbeta) keep_rows(dbeta, 1, width, room_of);
        end_case();
      }
    }
  }
}
static void channel_moments(void) { channel_norms(0); }
static void channel_norm(void) { channel_norms(1); }
static void channel_norm_gradient(void) { channel_norms(2); }

// MARK: windows

static const struct {
  count height, width, taps[2], steps[2], gaps[2], before[2], after[2], more;
} windows[] = {
    {6, 7, {2, 2}, {2, 2}, {1, 1}, {0, 0}, {0, 0}, 0}, {5, 5, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 0},
    {7, 6, {3, 2}, {2, 3}, {1, 2}, {1, 0}, {0, 1}, 1}, {4, 9, {1, 5}, {1, 2}, {1, 1}, {0, 2}, {0, 2}, 0},
    {5, 5, {5, 5}, {5, 5}, {1, 1}, {0, 0}, {0, 0}, 0}, {3, 3, {2, 2}, {2, 2}, {1, 1}, {0, 0}, {0, 0}, 1},
    {2, 2, {1, 1}, {1, 1}, {1, 1}, {2, 2}, {2, 2}, 0}, {17, 15, {17, 15}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, 0}};
static void window_kernel(int which) {
  EACH_KIND(kind, all_kinds) {
    for (size_t form = 0; form < sizeof(windows) / sizeof(windows[0]); form++) {
      EACH(count, channels, 3, 32) {
        for (int option = 0; option < 4; option++) {
          pm_window w = {.images = 2, .height = windows[form].height, .width = windows[form].width, .channels = channels,
                         .stride = padded(channels) + 16 * (option & 1), .counts_padding = option >> 1};
          w.height_taps = windows[form].taps[0], w.width_taps = windows[form].taps[1];
          w.row_step = windows[form].steps[0], w.column_step = windows[form].steps[1];
          w.row_gap = windows[form].gaps[0], w.column_gap = windows[form].gaps[1];
          w.top = windows[form].before[0], w.left = windows[form].before[1];
          w.bottom = windows[form].after[0], w.right = windows[form].after[1];
          w.out_height = (w.height + w.top + w.bottom - (w.height_taps - 1) * w.row_gap - 1) / w.row_step + 1 + windows[form].more;
          w.out_width = (w.width + w.left + w.right - (w.width_taps - 1) * w.column_gap - 1) / w.column_step + 1 + windows[form].more;
          count in = w.images * w.height * w.width, out = w.images * w.out_height * w.out_width, taps = w.height_taps * w.width_taps;
          const float *x = rows_of(in, channels, w.stride, kind);
          const float *slope = rows_of(out, channels, w.stride, kind == wild ? mild : kind);
          float *dx = rows_of(in, channels, w.stride, mild), *y = zeros(out * w.stride);
          uint8_t *index = bytes_of(out * w.stride);
          const float *kernel = rows_of(taps, channels, w.stride, mild);
          const float *bias = option & 1 ? rows_of(1, channels, w.stride, mild) : 0;
          float *dkernel = rows_of(taps, channels, w.stride, mild);
          switch (which) {
            case 0:
            case 1: set->max_window(&w, x, y, index); break;
            case 2: set->mean_window(&w, x, y); break;
            case 3: set->mean_window_gradient(&w, slope, dx); break;
            case 4: set->depthwise(&w, x, kernel, bias, y); break;
            case 5: set->depthwise_gradient(&w, x, kernel, slope, option & 2 ? dx : 0, dkernel); break;
          }
          if (which == 0) keep_bytes(index, out, channels, w.stride);
          if (which == 1) set->max_window_gradient(&w, index, slope, dx);
          keep_rows(y, out, channels, w.stride);
          keep_rows(dx, in, channels, w.stride);
          keep_rows(dkernel, taps, channels, w.stride);
          end_case();
        }
      }
    }
  }
}
static void max_window(void) { window_kernel(0); }
static void max_window_gradient(void) { window_kernel(1); }
static void mean_window(void) { window_kernel(2); }
static void mean_window_gradient(void) { window_kernel(3); }
static void depthwise(void) { window_kernel(4); }
static void depthwise_gradient(void) { window_kernel(5); }

// MARK: recurrent cells

static void cells(int is_gru, int gradient) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, units, 1, 5, 16, 21, 48) {
      for (int option = 0; option < 2; option++) {
        count batch = 3, stride = padded(units), gates = is_gru ? 3 : 4, gate_stride = padded(gates * units) + 16 * option;
        float *g = rows_of(batch, gates * units, gate_stride, kind), *q = rows_of(batch, gates * units, gate_stride, kind);
        float *before = rows_of(batch, units, stride, kind == wild ? mild : kind);
        float *c = zeros(batch * stride), *h = zeros(batch * stride);
        if (is_gru) {
          set->gru_cell(batch, units, g, q, gate_stride, before, h, stride);
        } else {
          set->lstm_cell(batch, units, g, gate_stride, before, c, h, stride);
        }
        if (gradient) {
          float *dh = rows_of(batch, units, stride, kind), *dc = rows_of(batch, units, stride, mild);
          if (is_gru) {
            set->gru_cell_gradient(batch, units, g, q, gate_stride, before, dh, stride);
          } else {
            set->lstm_cell_gradient(batch, units, g, gate_stride, before, c, dh, dc, stride);
          }
          keep_rows(dh, batch, units, stride);
          keep_rows(dc, batch, units, stride);
        }
        keep_rows(g, batch, gates * units, gate_stride);
        keep_rows(q, batch, gates * units, gate_stride);
        keep_rows(c, batch, units, stride);
        keep_rows(h, batch, units, stride);
        end_case();
      }
    }
  }
}
static void lstm_cell(void) { cells(0, 0); }
static void lstm_cell_gradient(void) { cells(0, 1); }
static void gru_cell(void) { cells(1, 0); }
static void gru_cell_gradient(void) { cells(1, 1); }

// MARK: optimizers

static void optimizers(int is_adam) {
  EACH_KIND(kind, all_kinds) {
    for (int option = 0; option < 16; option++) {
      count n = 112;
      pm_descent d = {.rate = 0.1f, .momentum = 0.9f, .scale = option & 1 ? 0.37f : 1, .decay = option & 2 ? 0.01f : 0,
                      .pull = option & 4 ? 0.1f : 0, .beta1 = 0.9f, .beta2 = 0.999f, .rate1 = 0.01f, .root2 = 0.03162f,
                      .epsilon = 1e-8f, .keep = option & 8 ? 0.999f : 1, .is_nesterov = option & 1};
      const float *g = floats(n, kind), *origin = option & 4 ? floats(n, mild) : 0;
      float *first = option & 8 || is_adam ? floats(n, mild) : 0, *second = floats(n, positive), *w = floats(n, kind == wild ? mild : kind);
      for (d.step = 1; d.step <= 3; d.step++) {
        if (is_adam) {
          set->adam_step(n, &d, g, origin, first, second, w);
        } else {
          set->momentum_step(n, &d, g, origin, first, w);
        }
      }
      if (first) keep(first, n);
      keep(second, n);
      keep(w, n);
      end_case();
    }
  }
}
static void momentum_step(void) { optimizers(0); }
static void adam_step(void) { optimizers(1); }
static void squares(void) {
  EACH_KIND(kind, all_kinds) {
    EACH(count, n, 16, 112, 1024) {
      keep_double(set->squares(n, floats(n, kind)));
      end_case();
    }
  }
}

// MARK: numbers in double

static double any_double(void) {
  uint64_t z = next_chance();
  double x;
  if (z % 4 == 0) {
    memcpy(&x, &(uint64_t){next_chance()}, 8);
    return x;
  }
  return (double)((int64_t)next_chance() >> below(40)) * 0x1p-40;
}
static void logarithm(void) {
  for (int i = 0; i < 20000; i++, cases++) keep_double(pm_log(any_double()));
}
static void exponential(void) {
  for (int i = 0; i < 20000; i++, cases++) keep_double(pm_exp(any_double()));
  for (int i = -746; i < 712; i++) keep_double(pm_exp(i));
}

typedef struct {
  const char *name;
  void (*run)(void);
} kernel_case;
#define CASE(name) {#name, name}
static const kernel_case kernel_cases[] = {
    CASE(product), CASE(dots), CASE(pool), CASE(pool_backward), CASE(softmax_loss), CASE(relu), CASE(relu_backward),
    CASE(column_sums), CASE(descend), CASE(descend_with_momentum), CASE(divide_bytes), CASE(accumulate), CASE(mean),
    CASE(not_finite), CASE(live_runs), CASE(transpose), CASE(unary), CASE(unary_gradient), CASE(binary),
    CASE(binary_gradient), CASE(choose), CASE(reduce), CASE(largest), CASE(copy), CASE(dropout), CASE(softmax),
    CASE(softmax_gradient), CASE(row_norm), CASE(row_norm_gradient), CASE(channel_moments), CASE(channel_norm),
    CASE(channel_norm_gradient), CASE(max_window), CASE(max_window_gradient), CASE(mean_window),
    CASE(mean_window_gradient), CASE(depthwise), CASE(depthwise_gradient), CASE(lstm_cell), CASE(lstm_cell_gradient),
    CASE(gru_cell), CASE(gru_cell_gradient), CASE(momentum_step), CASE(adam_step), CASE(squares), CASE(value_loss),
    CASE(clear_tails), CASE(fill_rows), CASE(fill), CASE(move), CASE(logarithm), CASE(exponential)};
enum { case_count = sizeof(kernel_cases) / sizeof(kernel_cases[0]) };
// All pointers of the table but its name, and two functions outside it.
_Static_assert(case_count == sizeof(pm_kernels) / sizeof(void *) - 1 + 2, "a kernel of the table has no case");
