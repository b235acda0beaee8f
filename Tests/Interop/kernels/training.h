// Small models trained with kernels alone, in the calls that the engines make. Weights, gradients and data are deterministic.
#pragma once
#include "support.h"

// MARK: memory

// Zeroed, with the room behind it that the engine's pieces have; until the training ends.
enum { most_pieces = 128 };
static void *pieces[most_pieces];
static int piece_count;
static void *zeroed(count bytes) {
  void *piece = calloc((size_t)bytes, 1);
  if (!piece || piece_count == most_pieces) abort();
  return pieces[piece_count++] = piece;
}
static float *memory(count n) { return zeroed((n + slack) * 4); }
static void free_pieces_from(int first) {
  while (piece_count > first) free(pieces[--piece_count]);
}

// Rows of a value and its gradient.
typedef struct {
  count rows, width, stride;
  float *data, *slope;
} tensor;
static tensor tensor_of(count rows, count width) {
  count stride = padded(width);
  return (tensor){rows, width, stride, memory(rows * stride), memory(rows * stride)};
}
static void clear(float *data, count n) { memset(data, 0, (size_t)n * 4); }
static count size_of(tensor t) { return t.rows * t.stride; }

// All parameters side by side, so that an optimizer passes over them once.
enum { most_parameters = 1 << 16 };
static float *values, *gradients, *first_moments, *second_moments, *origin;
static count parameter_floats;
static void begin_parameters(void) {
  values = memory(most_parameters), gradients = memory(most_parameters), origin = memory(most_parameters);
  first_moments = memory(most_parameters), second_moments = memory(most_parameters);
  parameter_floats = 0;
}
// Uniform between -bound and bound, or all the bound where it is to be constant.
static tensor parameter(count rows, count width, float bound, int is_constant) {
  count stride = padded(width);
  tensor t = {rows, width, stride, values + parameter_floats, gradients + parameter_floats};
  for (count r = 0; r < rows; r++) {
    for (count i = 0; i < width; i++) {
      float unit = (float)((int64_t)(next_chance() >> 40) - (1 << 23)) / 8388608.0f;
      t.data[r * stride + i] = is_constant ? bound : unit * bound;
    }
  }
  parameter_floats += rows * stride + 16;
  if (parameter_floats > most_parameters) abort();
  return t;
}
static int report(const char *model, int step, double loss) {
  digest d = no_digest;
  for (count i = 0; i < parameter_floats; i++) add_float(&d, values[i]);
  digest l = no_digest;
  add_double(&l, loss);
  printf("%s step %d: weights %016llx loss %016llx %.4f\n", model, step, (unsigned long long)d, (unsigned long long)l, loss);
  if (set->not_finite(parameter_floats, values) == 0) return 0;
  fprintf(stderr, "%s: weights are not finite\n", model);
  return 1;
}

// MARK: products

// In pieces of the reduction; rows that fit one tile read b once.
static void multiply_pieces(int transposed, count rows, count depth, count columns, pm_product_shape s, const float *a,
                            const float *b, float *c, int start, int epilogue) {
  count most = rows <= 14 ? depth : transposed ? 256 : 128;
  s.s1 = s.s2 = 1;
  for (count at = 0; at < depth; at += s.depth) {
    s.depth = depth - at < most ? depth - at : most;
    s.start = at > 0 ? pm_from_sums : start;
    s.epilogue = at + s.depth == depth ? epilogue : pm_store;
    set->product(transposed, rows, columns, &s, a + at * s.a_step, b + at * s.b_row, c);
  }
}
static void multiply(count rows, count depth, count columns, const float *a, count a_row, const float *b, count b_row,
                     float *c, count c_row, int start, int epilogue, const float *bias) {
  pm_product_shape s = {.a_row = a_row, .a_step = 1, .b_row = b_row, .c_row = c_row, .bias = bias};
  multiply_pieces(0, rows, depth, columns, s, a, b, c, start, epilogue);
}
static void multiply_transposed(count rows, count depth, count columns, const float *a, count a_step, const float *b,
                                count b_row, float *c, count c_row, int adds) {
  pm_product_shape s = {.a_row = 1, .a_step = a_step, .b_row = b_row, .c_row = c_row};
  multiply_pieces(1, rows, depth, columns, s, a, b, c, adds ? pm_from_sums : pm_from_zero, pm_store);
}
static void add(const float *from, float *to, count n) {
  pm_copy_shape s = {{1, 1, 1, 1, 1, n}, {0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 1}};
  set->copy(&s, from, to, 1);
}

// y = x W + b, and its gradients; x.slope is replaced, or added to, or left alone.
static void linear(tensor x, tensor w, tensor b, tensor y, int epilogue) {
  multiply(x.rows, x.width, y.stride, x.data, x.stride, w.data, w.stride, y.data, y.stride, pm_from_zero,
           epilogue, b.data);
}
typedef enum { replaced, added, unwanted } target;
static void linear_gradient(tensor x, tensor w, tensor b, tensor y, target target) {
  if (b.data) {
    clear(b.slope, b.stride);
    set->reduce(y.rows, y.width, y.stride, y.slope, 0, 0, 1, b.slope, b.stride);
  }
  if (target == replaced && x.rows <= 32) {
    set->clear_tails(x.rows, x.width, x.stride, x.slope);
    set->dots(x.rows, x.width, y.stride, y.slope, y.stride, w.data, w.stride, x.slope, x.stride);
  } else if (target != unwanted) {
    int used = piece_count;
    float *turned = memory(y.width * x.stride);
    set->transpose(x.width, y.width, w.data, w.stride, turned, x.stride);
    multiply(x.rows, y.width, x.stride, y.slope, y.stride, turned, x.stride, x.slope, x.stride,
             target == added ? pm_from_sums : pm_from_zero, pm_store, 0);
    free_pieces_from(used);
  }
  multiply_transposed(x.width, x.rows, y.stride, x.data, x.stride, y.slope, y.stride, w.slope, w.stride, 0);
}

// MARK: a multi-layer perceptron

static int train_mlp(int steps) {
  enum { batch = 20, inputs = 77, classes = 7 };
  begin_parameters();
  tensor w1 = parameter(inputs, 45, 0.1f, 0), b1 = parameter(1, 45, 0.1f, 0);
  tensor w2 = parameter(45, 70, 0.15f, 0), b2 = parameter(1, 70, 0.1f, 0);
  tensor w3 = parameter(70, classes, 0.12f, 0), b3 = parameter(1, classes, 0.1f, 0);
  tensor x = tensor_of(batch, inputs), h1 = tensor_of(batch, 45), h2 = tensor_of(batch, 70), z = tensor_of(batch, classes);
  tensor weights[] = {w1, w2, w3}, biases[] = {b1, b2, b3}, values_of[] = {x, h1, h2, z};
  pm_run runs[inputs];
  int32_t labels[batch];
  uint8_t bytes[inputs];
  for (int step = 1; step <= steps; step++) {
    // Most columns are zero in a whole batch, as the border of an image is.
    for (count r = 0; r < batch; r++) {
      for (count i = 0; i < inputs; i++) bytes[i] = (i + step) / 8 % 3 == 0 ? 0 : (uint8_t)next_chance();
      set->divide_bytes(inputs, bytes, 255, x.data + r * x.stride);
      labels[r] = bytes[11] / 37;
    }
    count run_count = set->live_runs(batch, inputs, x.stride, x.data, 4, 128, runs), correct = 0;
    float rate = 0.2f, momentum = 0.9f;
    int is_plain = step % 3 != 0;
    pm_product_shape s = {.a_row = x.stride, .a_step = 1, .b_row = w1.stride, .c_row = h1.stride, .s1 = run_count, .s2 = 1,
                          .runs = runs, .epilogue = pm_bias_relu, .bias = b1.data};
    set->product(0, batch, h1.stride, &s, x.data, w1.data, h1.data);
    linear(h1, w2, b2, h2, pm_bias_relu);
    linear(h2, w3, b3, z, pm_bias);
    double loss = set->softmax_loss(batch, classes, z.stride, z.data, labels, z.slope, 1.0f / batch, &correct);
    for (int i = 2; i >= 0; i--) {
      tensor in = values_of[i], out = values_of[i + 1], w = weights[i], b = biases[i];
      if (i < 2) set->relu_backward(size_of(out), out.data, out.slope);
      set->column_sums(batch, out.stride, out.stride, out.slope, b.slope, 0);
      pm_product_shape t = {.a_row = 1, .a_step = in.stride, .b_row = out.stride, .c_row = w.stride, .depth = batch, .s1 = 1,
                            .s2 = 1, .epilogue = is_plain ? pm_descend : pm_store, .rate = rate};
      float *to = is_plain ? w.data : w.slope;
      if (i == 0 && is_plain) {
        // A weight whose inputs are all zero stays where it is.
        for (count r = 0; r < run_count; r++)
          set->product(1, runs[r].count, out.stride, &t, in.data + runs[r].begin, out.slope, to + runs[r].begin * w.stride);
      }
      for (count at = 0; at < in.width && !(i == 0 && is_plain); at += 28) {
        count rows = in.width - at < 28 ? in.width - at : 28;
        // The gradient of the input comes from the weights before they change.
        if (i > 0)
          set->dots(batch, rows, out.stride, out.slope, out.stride, w.data + at * w.stride, w.stride, in.slope + at, in.stride);
        set->product(1, rows, out.stride, &t, in.data + at, out.slope, to + at * w.stride);
      }
      count at = w.data - values, bias_at = b.data - values;
      if (is_plain) {
        set->descend(b.stride, rate, b.slope, b.data);
      } else {
        set->descend_with_momentum(b.stride, rate, momentum, b.slope, first_moments + bias_at, b.data);
        set->descend_with_momentum(size_of(w), rate, momentum, w.slope, first_moments + at, w.data);
      }
    }
    if (report("mlp", step, loss)) return 1;
  }
  return 0;
}

// MARK: a convolution net

// Images with channels last.
typedef struct {
  count images, height, width;
  tensor t;
} pictures;
static pictures pictures_of(count images, count height, count width, count channels) {
  return (pictures){images, height, width, tensor_of(images * height * width, channels)};
}
static count largest_of(count a, count b) { return a > b ? a : b; }
static count smallest_of(count a, count b) { return a < b ? a : b; }

// 3x3 with a border of one. Few channels: images lie in their border, and a row of taps is one reduction.
static void compact_convolution(const float *bordered, pictures y, count channels, tensor w, tensor b) {
  count row = (y.width + 2) * channels, image = (y.height + 2) * row;
  pm_product_shape s = {.a_row = channels, .a_step = 1, .b_row = w.stride, .c_row = y.t.stride, .depth = 3 * channels, .s1 = 3,
                        .s2 = 1, .a_s1 = row, .b_s1 = 3 * channels * w.stride, .start = pm_from_bias, .bias = b.data};
  for (count i = 0; i < y.images; i++) {
    for (count r = 0; r < y.height; r++)
      set->product(0, y.width, y.t.stride, &s, bordered + i * image + r * row, w.data, y.t.data + (i * y.height + r) * y.width * y.t.stride);
  }
}
static void compact_convolution_gradient(const float *bordered, pictures y, count channels, tensor w) {
  count row = (y.width + 2) * channels, image = (y.height + 2) * row;
  pm_product_shape s = {.a_row = 1, .a_step = channels, .b_row = y.t.stride, .c_row = w.stride, .depth = y.width, .s1 = y.height,
                        .a_s1 = row, .a_s2 = image, .b_s1 = y.width * y.t.stride, .b_s2 = y.height * y.width * y.t.stride,
                        .start = pm_from_sums};
  clear(w.slope, size_of(w));
  // Chunks of images, as many as would stay in a cache.
  for (count first = 0; first < y.images; first += 4) {
    s.s2 = smallest_of(4, y.images - first);
    for (count tap = 0; tap < 3; tap++)
      set->product(1, 3 * channels, y.t.stride, &s, bordered + first * image + tap * row, y.t.slope + first * s.b_s2,
                   w.slope + tap * 3 * channels * w.stride);
  }
}

// Many channels, no border in memory: one product for each row of outputs and tap, the tap that meets every output first.
static void tap_convolution(pictures x, pictures y, tensor w, tensor b) {
  count channels = x.t.width;
  pm_product_shape s = {.a_row = x.t.stride, .a_step = 1, .b_row = w.stride, .c_row = y.t.stride, .depth = channels, .s1 = 1,
                        .s2 = 1, .bias = b.data};
  for (count i = 0; i < x.images; i++) {
    for (count r = 0; r < y.height; r++) {
      float *target = y.t.data + (i * y.height + r) * y.width * y.t.stride;
      // The whole tap of the middle row comes first.
      for (int turn = 0; turn < 10; turn++) {
        count line = turn == 0 ? 1 : (turn - 1) / 3, column = turn == 0 ? 1 : (turn - 1) % 3, row = r + line - 1;
        if ((turn > 0 && line == 1 && column == 1) || row < 0 || row >= x.height) continue;
        count from = largest_of(0, 1 - column), to = smallest_of(y.width, x.width + 1 - column);
        s.start = turn == 0 ? pm_from_bias : pm_from_sums;
        set->product(0, to - from, y.t.stride, &s, x.t.data + ((i * x.height + row) * x.width + from + column - 1) * x.t.stride,
                     w.data + (line * 3 + column) * channels * w.stride, target + from * y.t.stride);
      }
    }
  }
}
static void tap_convolution_gradient(pictures x, pictures y, tensor w, tensor b) {
  count channels = x.t.width, outputs = y.t.width;
  clear(b.slope, b.stride);
  set->reduce(y.t.rows, y.t.width, y.t.stride, y.t.slope, 0, 0, 1, b.slope, b.stride);
  clear(w.slope, size_of(w));
  pm_product_shape s = {.a_row = 1, .a_step = x.t.stride, .b_row = y.t.stride, .c_row = w.stride, .s2 = x.images,
                        .a_s1 = x.width * x.t.stride, .a_s2 = x.height * x.width * x.t.stride, .b_s1 = y.width * y.t.stride,
                        .b_s2 = y.height * y.width * y.t.stride, .start = pm_from_sums};
  for (count line = 0; line < 3; line++) {
    count top = largest_of(0, 1 - line), bottom = smallest_of(y.height, x.height + 1 - line);
    s.s1 = bottom - top;
    for (count column = 0; column < 3; column++) {
      count from = largest_of(0, 1 - column), to = smallest_of(y.width, x.width + 1 - column);
      s.depth = to - from;
      set->product(1, channels, y.t.stride, &s, x.t.data + ((top + line - 1) * x.width + from + column - 1) * x.t.stride,
                   y.t.slope + (top * y.width + from) * y.t.stride, w.slope + (line * 3 + column) * channels * w.stride);
    }
  }
  int used = piece_count;
  float *turned = memory(9 * outputs * x.t.stride);
  for (count tap = 0; tap < 9; tap++)
    set->transpose(channels, outputs, w.data + tap * channels * w.stride, w.stride, turned + tap * outputs * x.t.stride, x.t.stride);
  clear(x.t.slope, size_of(x.t));
  pm_product_shape t = {.a_row = y.t.stride, .a_step = 1, .b_row = x.t.stride, .c_row = x.t.stride, .depth = outputs, .s1 = 1,
                        .s2 = 1, .start = pm_from_sums};
  for (count i = 0; i < x.images; i++) {
    for (count r = 0; r < y.height; r++) {
      for (count tap = 0; tap < 9; tap++) {
        count line = tap / 3, column = tap % 3, row = r + line - 1;
        if (row < 0 || row >= x.height) continue;
        count from = largest_of(0, 1 - column), to = smallest_of(y.width, x.width + 1 - column);
        set->product(0, to - from, x.t.stride, &t, y.t.slope + ((i * y.height + r) * y.width + from) * y.t.stride,
                     turned + tap * outputs * x.t.stride,
                     x.t.slope + ((i * x.height + row) * x.width + from + column - 1) * x.t.stride);
      }
    }
  }
  free_pieces_from(used);
}

// Many channels, in a border: one product for each row of outputs and column of taps, the rows of taps inside it.
static void sweep(pm_product_shape *s, count width, int start, count columns, const float *a, const float *b, float *c) {
  s->start = start;
  for (int turn = 0; turn < 3; turn++) {
    count tap = turn == 0 ? 1 : turn == 1 ? 0 : 2, from = largest_of(0, 1 - tap), to = smallest_of(width, width + 1 - tap);
    set->product(0, to - from, columns, s, a + (from + tap) * s->a_row, b + tap * s->depth * s->b_row, c + from * s->c_row);
    s->start = pm_from_sums;
  }
}
static void bordered_convolution(const float *bordered, count channels, const float *w, count w_row, int start,
                                 const float *bias, count images, count height, count width, float *y, count y_row) {
  count row = (width + 2) * channels, image = (height + 2) * row;
  pm_product_shape s = {.a_row = channels, .a_step = 1, .b_row = w_row, .c_row = y_row, .depth = channels, .s2 = 1, .a_s1 = row,
                        .b_s1 = 3 * channels * w_row, .bias = bias};
  for (count i = 0; i < images; i++) {
    for (count r = 0; r < height; r++) {
      count first = largest_of(0, 1 - r), end = smallest_of(3, height + 1 - r);
      s.s1 = end - first;
      sweep(&s, width, start, y_row, bordered + i * image + (r + first) * row, w + first * s.b_s1, y + (i * height + r) * width * y_row);
    }
  }
}
// Into the inside of a border, or out of it.
static void border(pictures x, const float *from, float *to, int is_out) {
  count c = x.t.stride, row = (x.width + 2) * c;
  pm_copy_shape s = {{1, 1, 1, x.images, x.height, x.width * c}, {0, 0, 0, x.height * x.width * c, x.width * c, 1},
                     {0, 0, 0, (x.height + 2) * row, row, 1}};
  if (is_out) {
    for (int i = 0; i < 6; i++) {
      ptrdiff_t step = s.in_step[i];
      s.in_step[i] = s.out_step[i];
      s.out_step[i] = step;
    }
  }
  set->copy(&s, is_out ? from + row + c : from, is_out ? to : to + row + c, 0);
}

static pm_window window_over(pictures x, pictures y, count taps, count step, count before) {
  return (pm_window){.images = x.images, .height = x.height, .width = x.width, .channels = x.t.width, .stride = x.t.stride,
                     .out_height = y.height, .out_width = y.width, .height_taps = taps, .width_taps = taps, .row_step = step,
                     .column_step = step, .row_gap = 1, .column_gap = 1, .top = before, .left = before, .bottom = before, .right = before};
}

static int train_cnn(int steps) {
  enum { images = 6, side = 12, classes = 5 };
  begin_parameters();
  tensor w1 = parameter(9 * 2, 20, 0.3f, 0), b1 = parameter(1, 20, 0.1f, 0);
  tensor w2 = parameter(9 * 20, 24, 0.1f, 0), b2 = parameter(1, 24, 0.1f, 0);
  tensor gamma = parameter(1, 24, 1, 1), beta = parameter(1, 24, 0, 1);
  tensor kernel = parameter(9, 24, 0.4f, 0), kernel_bias = parameter(1, 24, 0.1f, 0);
  tensor w3 = parameter(9 * 32, 16, 0.1f, 0), b3 = parameter(1, 16, 0.1f, 0);
  tensor w4 = parameter(9 * 16, classes, 0.1f, 0), b4 = parameter(1, classes, 0.1f, 0);
  // The third convolution's channels include the tails, whose weights are zero and stay so.
  for (count tap = 0; tap < 9; tap++) clear(w3.data + (tap * 32 + 24) * w3.stride, 8 * w3.stride);
  pictures y1 = pictures_of(images, side, side, 20), p1 = pictures_of(images, 6, 6, 20), y2 = pictures_of(images, 6, 6, 24);
  pictures n2 = pictures_of(images, 6, 6, 24), p2 = pictures_of(images, 3, 3, 24), d3 = pictures_of(images, 3, 3, 24);
  pictures y3 = pictures_of(images, 3, 3, 16);
  tensor flat = tensor_of(images, 9 * 16), z = tensor_of(images, classes);
  count row = (side + 2) * 2, image = (side + 2) * row;
  float *bordered = memory(images * image), *bordered3 = memory(images * 25 * 32), *slope3 = memory(images * 25 * 16);
  float *turned = memory(9 * 16 * 32), *mean = memory(32), *variance = memory(32), *r = memory(32);
  uint8_t *index1 = zeroed(size_of(p1.t)), *index2 = zeroed(size_of(p2.t));
  int32_t labels[images];
  for (int step = 1; step <= steps; step++) {
    for (count i = 0; i < images; i++) {
      labels[i] = (int32_t)below(classes);
      for (count q = 0; q < side * side * 2; q++)
        bordered[i * image + (q / (2 * side) + 1) * row + 2 + q % (2 * side)] = draw(mild) * 0.5f + (float)((q + labels[i] * 3) % 7) * 0.25f;
    }
    compact_convolution(bordered, y1, 2, w1, b1);
    set->pool(images, 6, 6, y1.t.stride, 1, y1.t.data, p1.t.data, 6 * p1.t.stride, 36 * p1.t.stride, index1);
    tap_convolution(p1, y2, w2, b2);
    set->channel_moments(y2.t.rows, 24, y2.t.stride, y2.t.data, mean, variance);
    for (int i = 0; i < 32; i++) r[i] = 1 / __builtin_sqrtf(variance[i] + 1e-5f);
    set->channel_norm(y2.t.rows, 24, y2.t.stride, y2.t.data, mean, r, gamma.data, beta.data, 1, n2.t.data);
    pm_window pool = window_over(n2, p2, 3, 2, 1), sliding = window_over(p2, d3, 3, 1, 1);
    set->max_window(&pool, n2.t.data, p2.t.data, index2);
    set->depthwise(&sliding, p2.t.data, kernel.data, kernel_bias.data, d3.t.data);
    border(d3, d3.t.data, bordered3, 0);
    bordered_convolution(bordered3, 32, w3.data, w3.stride, pm_from_bias, b3.data, images, 3, 3, y3.t.data, y3.t.stride);
    set->relu(size_of(y3.t), y3.t.data);
    memcpy(flat.data, y3.t.data, (size_t)size_of(flat) * 4);
    linear(flat, w4, b4, z, pm_bias);
    count correct = 0;
    double loss = set->softmax_loss(images, classes, z.stride, z.data, labels, z.slope, 1.0f / images, &correct);

    linear_gradient(flat, w4, b4, z, replaced);
    memcpy(y3.t.slope, flat.slope, (size_t)size_of(flat) * 4);
    set->relu_backward(size_of(y3.t), y3.t.data, y3.t.slope);
    set->column_sums(y3.t.rows, 16, 16, y3.t.slope, b3.slope, 0);
    border(y3, y3.t.slope, slope3, 0);
    for (count tap = 0; tap < 9; tap++) set->transpose(32, 16, w3.data + (8 - tap) * 32 * 16, 16, turned + tap * 16 * 32, 32);
    bordered_convolution(slope3, 16, turned, 32, pm_from_zero, 0, images, 3, 3, d3.t.slope, 32);
    pm_product_shape s = {.a_row = 1, .a_step = 32, .b_row = 16, .c_row = 16, .s2 = images, .a_s1 = 5 * 32, .a_s2 = 25 * 32,
                          .b_s1 = 5 * 16, .b_s2 = 25 * 16};
    for (count tap = 0; tap < 9; tap++) {
      count line = tap / 3, column = tap % 3, top = largest_of(0, 1 - line), from = largest_of(0, 1 - column);
      s.s1 = smallest_of(3, 4 - line) - top;
      s.depth = smallest_of(3, 4 - column) - from;
      set->product(1, 32, 16, &s, bordered3 + ((top + line) * 5 + from + column) * 32, slope3 + ((top + 1) * 5 + from + 1) * 16,
                   w3.slope + tap * 32 * 16);
    }
    set->clear_tails(d3.t.rows, 24, 32, d3.t.slope);
    clear(kernel_bias.slope, 32);
    set->reduce(d3.t.rows, 24, 32, d3.t.slope, 0, 0, 1, kernel_bias.slope, 32);
    clear(p2.t.slope, size_of(p2.t));
    clear(kernel.slope, size_of(kernel));
    set->depthwise_gradient(&sliding, p2.t.data, kernel.data, d3.t.slope, p2.t.slope, kernel.slope);
    clear(n2.t.slope, size_of(n2.t));
    set->max_window_gradient(&pool, index2, p2.t.slope, n2.t.slope);
    clear(gamma.slope, 32);
    clear(beta.slope, 32);
    set->channel_norm_gradient(y2.t.rows, 24, 32, y2.t.data, mean, r, gamma.data, n2.t.data, n2.t.slope, 1, y2.t.slope, 0,
                               gamma.slope, beta.slope);
    tap_convolution_gradient(p1, y2, w2, b2);
    clear(b1.slope, b1.stride);
    set->pool_backward(images, 6, 6, 32, 1, p1.t.data, 6 * 32, 36 * 32, p1.t.slope, 6 * 32, 36 * 32, index1, y1.t.slope,
                       side * 32, side * side * 32, b1.slope);
    compact_convolution_gradient(bordered, y1, 2, w1);
    pm_descent d = {.rate = 0.02f, .momentum = 0.9f, .scale = 1, .decay = 1e-4f, .step = step, .keep = 1, .is_nesterov = step & 1};
    set->momentum_step(parameter_floats, &d, gradients, 0, first_moments, values);
    if (report("cnn", step, loss)) return 1;
  }
  return 0;
}

// MARK: optimizers

// Gradients are scaled down where their norm is above 1.
static float clipped(void) {
  double share = 1.0 / (__builtin_sqrt(set->squares(parameter_floats, gradients)) + 1e-6);
  return share < 1 ? (float)share : 1;
}
static void adam(int step) {
  double power1 = 1, power2 = 1;
  for (int i = 0; i < step; i++) power1 *= 0.9, power2 *= 0.999;
  pm_descent d = {.rate = 0.01f, .scale = clipped(), .beta1 = 0.9f, .beta2 = 0.999f, .rate1 = (float)(0.01 / (1 - power1)),
                  .root2 = (float)__builtin_sqrt(1 - power2), .epsilon = 1e-8f, .keep = (float)(1 - 0.01 * 0.01),
                  .pull = 0.01f, .step = step};
  set->adam_step(parameter_floats, &d, gradients, origin, first_moments, second_moments, values);
}

// MARK: a block of a transformer

static pm_operand whole_of(const float *data, count stride) { return (pm_operand){.data = data, .stride = stride}; }

static int train_block(int steps) {
  enum { batch = 2, times = 10, rows = batch * times, inner = 24, heads = 2, part = inner / heads, words = 13, wide = 52 };
  begin_parameters();
  tensor words_table = parameter(words, inner, 0.5f, 0), places = parameter(times, inner, 0.2f, 0);
  tensor g1 = parameter(1, inner, 1, 1), o1 = parameter(1, inner, 0, 1), g2 = parameter(1, inner, 1, 1), o2 = parameter(1, inner, 0, 1);
  tensor wq = parameter(inner, inner, 0.3f, 0), wk = parameter(inner, inner, 0.3f, 0), wv = parameter(inner, inner, 0.3f, 0);
  tensor wo = parameter(inner, inner, 0.2f, 0), bo = parameter(1, inner, 0.1f, 0), none = {0};
  tensor wi = parameter(inner, wide, 0.2f, 0), bi = parameter(1, wide, 0.1f, 0);
  tensor wj = parameter(wide, inner, 0.15f, 0), bj = parameter(1, inner, 0.1f, 0);
  tensor ws = parameter(inner, words, 0.2f, 0), bs = parameter(1, words, 0.1f, 0);
  memcpy(origin, values, (size_t)parameter_floats * 4);
  tensor x = tensor_of(rows, inner), n1 = tensor_of(rows, inner), q = tensor_of(rows, inner), k = tensor_of(rows, inner);
  tensor v = tensor_of(rows, inner), o = tensor_of(rows, inner), a = tensor_of(rows, inner), x2 = tensor_of(rows, inner);
  tensor n2 = tensor_of(rows, inner), m = tensor_of(rows, wide), ge = tensor_of(rows, wide), f = tensor_of(rows, inner);
  tensor fd = tensor_of(rows, inner), x3 = tensor_of(rows, inner), z = tensor_of(rows, words);
  enum { maps = batch * heads };
  tensor qh = tensor_of(maps * times, part), kt = tensor_of(maps * part, times), vh = tensor_of(maps * times, part);
  tensor sc = tensor_of(maps * times, times), sm = tensor_of(maps * times, times), p = tensor_of(maps * times, times);
  tensor oh = tensor_of(maps * times, part), mask = tensor_of(times, times);
  float *saved1 = memory(rows * 2), *saved2 = memory(rows * 2), *turned = memory(32 * 32), scale = 1 / __builtin_sqrtf(part);
  float *least = memory(16), *zero = memory(16);
  least[0] = -__builtin_inff();
  int32_t ids[rows], labels[rows], place_of[rows], line_of[maps * times];
  for (int i = 0; i < rows; i++) place_of[i] = i % times;
  for (int i = 0; i < maps * times; i++) line_of[i] = i % times;
  for (int i = 0; i < times; i++) {
    for (int j = 0; j <= i; j++) mask.data[i * mask.stride + j] = 1;
  }
  // Between rows of samples and heads, and for keys with the dimensions of a head outside.
  pm_copy_shape split = {{1, 1, batch, heads, times, part}, {0, 0, times * 32, part, 32, 1}, {0, 0, heads * times * 16, times * 16, 16, 1}};
  pm_copy_shape join = {{1, 1, batch, heads, times, part}, {0, 0, heads * times * 16, times * 16, 16, 1}, {0, 0, times * 32, part, 32, 1}};
  pm_copy_shape turn = {{1, 1, batch, heads, part, times}, {0, 0, times * 32, part, 1, 32}, {0, 0, heads * part * 16, part * 16, 16, 1}};
  pm_copy_shape turn_back = {{1, 1, batch, heads, times, part}, {0, 0, heads * part * 16, part * 16, 1, 16}, {0, 0, times * 32, part, 32, 1}};
  pm_copy_shape line = {{1, 1, 1, 1, 1, 32}, {0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 1}};
  for (int step = 1; step <= steps; step++) {
    for (int i = 0; i < rows; i++) {
      ids[i] = (int32_t)below(words);
      labels[i] = (ids[i] * 3 + 1) % words;
    }
    uint64_t key = next_chance();
    int bend = step % 2 ? pm_gelu : pm_gelu_tanh;
    pm_operand by_id = {.data = words_table.data, .table = ids, .stride = 32}, by_place = {.data = places.data, .table = place_of, .stride = 32};
    set->binary(pm_add, rows, inner, &by_id, &by_place, x.data, 32);
    set->row_norm(rows, inner, 32, 1e-5f, g1.data, o1.data, x.data, n1.data, saved1);
    linear(n1, wq, none, q, pm_store);
    linear(n1, wk, none, k, pm_store);
    linear(n1, wv, none, v, pm_store);
    set->copy(&split, q.data, qh.data, 0);
    set->copy(&turn, k.data, kt.data, 0);
    set->copy(&split, v.data, vh.data, 0);
    for (int i = 0; i < maps; i++)
      multiply(times, part, 16, qh.data + i * times * 16, 16, kt.data + i * part * 16, 16, sc.data + i * times * 16, 16, pm_from_zero, pm_store, 0);
    set->unary(pm_affine, maps * times, times, 16, scale, 0, sc.data, sc.data);
    pm_operand is_seen = {.data = mask.data, .table = line_of, .stride = 16}, scores = whole_of(sc.data, 16), unseen = {.data = least, .is_scalar = 1};
    set->choose(maps * times, times, &is_seen, &scores, &unseen, sm.data, 16, 0);
    set->softmax(maps * times, times, 16, 0, sm.data, p.data);
    for (int i = 0; i < maps; i++)
      multiply(times, times, 16, p.data + i * times * 16, 16, vh.data + i * times * 16, 16, oh.data + i * times * 16, 16, pm_from_zero, pm_store, 0);
    set->copy(&join, oh.data, o.data, 0);
    linear(o, wo, bo, a, pm_bias);
    pm_operand left = whole_of(x.data, 32), right = whole_of(a.data, 32);
    set->binary(pm_add, rows, inner, &left, &right, x2.data, 32);
    set->row_norm(rows, inner, 32, 1e-5f, g2.data, o2.data, x2.data, n2.data, saved2);
    linear(n2, wi, bi, m, pm_bias);
    set->unary(bend, rows, wide, 64, 0, 0, m.data, ge.data);
    linear(ge, wj, bj, f, pm_bias);
    set->dropout(rows, inner, 32, key, 0.1f, f.data, fd.data, 0);
    left = whole_of(x2.data, 32), right = whole_of(fd.data, 32);
    set->binary(pm_add, rows, inner, &left, &right, x3.data, 32);
    linear(x3, ws, bs, z, pm_bias);
    count correct = 0;
    double loss = set->softmax_loss(rows, words, 16, z.data, labels, z.slope, 1.0f / rows, &correct);

    clear(gradients, parameter_floats);
    linear_gradient(x3, ws, bs, z, replaced);
    memcpy(x2.slope, x3.slope, rows * 32 * 4);
    set->dropout(rows, inner, 32, key, 0.1f, x3.slope, f.slope, 0);
    linear_gradient(ge, wj, bj, f, replaced);
    set->unary_gradient(bend, rows, wide, 64, 0, 0, m.data, ge.data, ge.slope, m.slope, 0);
    linear_gradient(n2, wi, bi, m, replaced);
    set->row_norm_gradient(rows, inner, 32, g2.data, x2.data, saved2, n2.slope, x2.slope, 1, g2.slope, o2.slope);
    memcpy(x.slope, x2.slope, rows * 32 * 4);
    memcpy(a.slope, x2.slope, rows * 32 * 4);
    linear_gradient(o, wo, bo, a, replaced);
    set->copy(&split, o.slope, oh.slope, 0);
    for (int i = 0; i < maps; i++) {
      set->transpose(times, part, vh.data + i * times * 16, 16, turned, 16);
      multiply(times, part, 16, oh.slope + i * times * 16, 16, turned, 16, p.slope + i * times * 16, 16, pm_from_zero, pm_store, 0);
      multiply_transposed(times, times, 16, p.data + i * times * 16, 16, oh.slope + i * times * 16, 16, vh.slope + i * times * 16, 16, 0);
    }
    set->softmax_gradient(maps * times, times, 16, 0, p.data, p.slope, sm.slope, 0);
    pm_operand slopes = whole_of(sm.slope, 16), nothing = {.data = zero, .is_scalar = 1};
    set->choose(maps * times, times, &is_seen, &slopes, &nothing, sc.slope, 16, 0);
    set->unary_gradient(pm_affine, maps * times, times, 16, scale, 0, sc.data, sc.data, sc.slope, sc.slope, 0);
    for (int i = 0; i < maps; i++) {
      set->transpose(part, times, kt.data + i * part * 16, 16, turned, 16);
      multiply(times, times, 16, sc.slope + i * times * 16, 16, turned, 16, qh.slope + i * times * 16, 16, pm_from_zero, pm_store, 0);
      multiply_transposed(part, times, 16, qh.data + i * times * 16, 16, sc.slope + i * times * 16, 16, kt.slope + i * part * 16, 16, 0);
    }
    set->copy(&join, qh.slope, q.slope, 0);
    set->copy(&turn_back, kt.slope, k.slope, 0);
    set->copy(&join, vh.slope, v.slope, 0);
    linear_gradient(n1, wq, none, q, replaced);
    linear_gradient(n1, wk, none, k, added);
    linear_gradient(n1, wv, none, v, added);
    set->row_norm_gradient(rows, inner, 32, g1.data, x.data, saved1, n1.slope, x.slope, 1, g1.slope, o1.slope);
    set->reduce(rows, inner, 32, x.slope, place_of, 0, 1, places.slope, 32);
    for (int i = 0; i < rows; i++) set->copy(&line, x.slope + i * 32, words_table.slope + ids[i] * 32, 1);
    adam(step);
    if (report("gpt-block", step, loss)) return 1;
  }
  return 0;
}

// MARK: a long short-term memory

static int train_lstm(int steps) {
  enum { batch = 5, times = 6, inputs = 9, units = 21, total = 4 * units, row = 32, gate_row = 96, outputs = 3 };
  begin_parameters();
  tensor w = parameter(total, inputs, 0.3f, 0), r = parameter(total, units, 0.2f, 0), b = parameter(2, total, 0.1f, 0);
  tensor wo = parameter(units, outputs, 0.3f, 0), bo = parameter(1, outputs, 0.1f, 0);
  memcpy(origin, values, (size_t)parameter_floats * 4);
  tensor x = tensor_of(times * batch, inputs), gates = tensor_of(times * batch, total), h = tensor_of(times * batch, units);
  tensor c = tensor_of(times * batch, units), z = tensor_of(batch, outputs), targets = tensor_of(batch, outputs);
  tensor start = tensor_of(batch, units), last = h;
  last.rows = batch, last.data += (times - 1) * batch * row, last.slope += (times - 1) * batch * row;
  float *turned_w = memory(inputs * gate_row), *turned_r = memory(units * gate_row), *bias = memory(gate_row);
  float *dh = memory(batch * row), *dc = memory(batch * row);
  for (int step = 1; step <= steps; step++) {
    for (count i = 0; i < x.rows; i++) {
      for (count j = 0; j < inputs; j++) x.data[i * x.stride + j] = draw(mild);
    }
    for (count i = 0; i < batch; i++) {
      for (count j = 0; j < outputs; j++) targets.data[i * 16 + j] = x.data[i * x.stride + j] > 0 ? 1.0f : 0.0f;
    }
    for (count i = 0; i < total; i++) bias[i] = b.data[i] + b.data[gate_row + i];
    set->transpose(total, inputs, w.data, w.stride, turned_w, gate_row);
    set->transpose(total, units, r.data, r.stride, turned_r, gate_row);
    multiply(times * batch, inputs, gate_row, x.data, x.stride, turned_w, gate_row, gates.data, gate_row, pm_from_zero, pm_bias, bias);
    for (count t = 0; t < times; t++) {
      const float *h_before = t ? h.data + (t - 1) * batch * row : start.data, *c_before = t ? c.data + (t - 1) * batch * row : start.data;
      float *gate = gates.data + t * batch * gate_row;
      multiply(batch, units, gate_row, h_before, row, turned_r, gate_row, gate, gate_row, pm_from_sums, pm_store, 0);
      set->lstm_cell(batch, units, gate, gate_row, c_before, c.data + t * batch * row, h.data + t * batch * row, row);
    }
    linear(last, wo, bo, z, pm_bias);
    count correct = 0;
    int kind = step % 2 ? pm_squared : pm_binary_logits;
    double loss = set->value_loss(kind, batch, outputs, z.stride, z.data, targets.data, z.slope, 1.0f / (batch * outputs), &correct);

    clear(gradients, parameter_floats);
    linear_gradient(last, wo, bo, z, replaced);
    clear(dh, batch * row);
    clear(dc, batch * row);
    for (count t = times - 1; t >= 0; t--) {
      const float *h_before = t ? h.data + (t - 1) * batch * row : start.data, *c_before = t ? c.data + (t - 1) * batch * row : start.data;
      float *gate = gates.data + t * batch * gate_row;
      if (t == times - 1) add(last.slope, dh, batch * row);
      set->lstm_cell_gradient(batch, units, gate, gate_row, c_before, c.data + t * batch * row, dh, dc, row);
      multiply(batch, total, row, gate, gate_row, r.data, r.stride, dh, row, pm_from_zero, pm_store, 0);
      multiply_transposed(total, batch, row, gate, gate_row, h_before, row, r.slope, r.stride, 1);
    }
    multiply_transposed(total, times * batch, 16, gates.data, gate_row, x.data, x.stride, w.slope, w.stride, 0);
    set->reduce(times * batch, total, gate_row, gates.data, 0, 0, 1, b.slope, gate_row);
    set->reduce(times * batch, total, gate_row, gates.data, 0, 0, 1, b.slope + gate_row, gate_row);
    adam(step);
    if (report("lstm", step, loss)) return 1;
  }
  return 0;
}

static const struct {
  const char *name;
  int (*run)(int steps);
} trainings[] = {{"mlp", train_mlp}, {"cnn", train_cnn}, {"gpt-block", train_block}, {"lstm", train_lstm}};
