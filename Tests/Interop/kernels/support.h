// Pseudo-random inputs, buffers with what lies behind them, and digests, for whatever runs kernels outside Swift.
#pragma once
#pragma clang fp contract(off)
#include "../../../Sources/CKernels/include/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef ptrdiff_t count;

// MARK: numbers

// SplitMix64.
static uint64_t chance;
static uint64_t next_chance(void) {
  uint64_t z = chance += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}
static count below(count limit) { return (count)(next_chance() % (uint64_t)limit); }

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
// A random sign and mantissa below an exponent between two.
static float with_exponent(int low, int high) {
  uint64_t z = next_chance();
  uint32_t exponent = (uint32_t)(low + 127 + (int)((z >> 32) % (uint64_t)(high - low + 1)));
  return float_of((uint32_t)(z & 0x807FFFFFu) | exponent << 23);
}

// What inputs are made of. Only `wild` has NaN and infinities, `masked` has the negative infinity of masks.
typedef enum { mild, wide, tiny, ties, masked, wild, positive, share } kind;
static float draw(kind kind) {
  uint64_t z = next_chance();
  if (kind == share) return z % 16 == 0 ? (float)(z >> 4 & 1) : (float)(z >> 40) / 16777216.0f;
  if (kind == positive) return z % 16 == 0 ? 0.0f : __builtin_fabsf(z % 16 == 1 ? float_of((uint32_t)(z >> 41)) : with_exponent(-20, 20));
  if (z % 16 == 0) return z >> 8 & 1 ? 0.0f : -0.0f;
  switch (kind) {
    case wide: return with_exponent(-30, 30);
    case tiny: return z >> 8 & 1 ? float_of((uint32_t)(z >> 9 & 0x807FFFFFu)) : with_exponent(-126, -60);
    case ties: return (float)((int)(z >> 8 & 7) - 4) * 0.5f;
    case masked: return z % 16 == 1 ? -__builtin_inff() : with_exponent(-4, 3);
    case wild:
      switch (z >> 8 & 15) {
        case 0: return __builtin_inff();
        case 1: return -__builtin_inff();
        case 2: return float_of(0x7FC00000u | (uint32_t)(z >> 32 & 0x803FFFFFu));
        case 3: return with_exponent(100, 127);
        case 4: return float_of((uint32_t)(z >> 9 & 0x807FFFFFu));
        case 5: return with_exponent(6, 12);
      }
      return with_exponent(-10, 7);
    default: return with_exponent(-6, 1);
  }
}

// MARK: digests

// FNV-1a with 64 bits.
typedef uint64_t digest;
static const digest no_digest = 0xCBF29CE484222325ull;
static void add_bytes(digest *d, const void *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) *d = (*d ^ ((const uint8_t *)bytes)[i]) * 0x100000001B3ull;
}
static void add_whole(digest *d, uint64_t x) {
  for (int i = 0; i < 64; i += 8) *d = (*d ^ (x >> i & 255)) * 0x100000001B3ull;
}
// That it is no number is the same everywhere, but not its sign and payload.
static void add_float(digest *d, float x) {
  uint32_t bits = x != x ? 0x7FC00000u : bits_of(x);
  for (int i = 0; i < 32; i += 8) *d = (*d ^ (bits >> i & 255)) * 0x100000001B3ull;
}
static void add_double(digest *d, double x) {
  uint64_t bits = 0x7FF8000000000000ull;
  if (x == x) memcpy(&bits, &x, 8);
  add_whole(d, bits);
}

// MARK: memory

static const pm_kernels *set;

// What lies where a kernel may read but not heed: behind a buffer's end, and behind the width of its rows.
typedef enum { all_zero, slack_foul, tails_foul } surroundings;
static surroundings around;
// `whole` covers buffers with all that surrounds them, `valid` what counts.
static digest whole, valid;
static count cases, strays;

// As much room as the engine's memory gives behind every piece.
enum { slack = 16, most_buffers = 64 };
static struct {
  float *data;
  count floats;
} buffers[most_buffers];
static int buffer_count;

static float foul(count index) {
  static const float values[] = {0, 3e38f, -1e30f, 77.5f, -0.0f, 1e-42f};
  count which = index % 8;
  return which < 6 ? values[which] : which == 6 ? __builtin_nanf("") : __builtin_inff();
}
static count padded(count n) { return (n + 15) / 16 * 16; }

// Room for n floats that the case must fill.
static float *room(count n) {
  float *data = malloc((size_t)(n + slack) * 4);
  if (!data || buffer_count == most_buffers) abort();
  for (int i = 0; i < slack; i++) data[n + i] = around == all_zero ? 0.0f : foul(i + n);
  buffers[buffer_count].data = data;
  buffers[buffer_count++].floats = n;
  return data;
}
static float *floats(count n, kind kind) {
  float *data = room(n);
  for (count i = 0; i < n; i++) data[i] = draw(kind);
  return data;
}
static float *zeros(count n) {
  float *data = room(n);
  memset(data, 0, (size_t)n * 4);
  return data;
}
static float *rows_of(count rows, count width, count stride, kind kind) {
  float *data = room(rows * stride);
  for (count r = 0; r < rows; r++) {
    for (count i = 0; i < stride; i++)
      data[r * stride + i] = i < width ? draw(kind) : around == tails_foul ? foul(i) : 0.0f;
  }
  return data;
}
// Bytes have no slack: nothing may be read behind them.
static void *bytes_of(count n) {
  void *data = calloc((size_t)(n > 0 ? n : 1), 1);
  if (!data || buffer_count == most_buffers) abort();
  buffers[buffer_count].data = data;
  buffers[buffer_count++].floats = -1;
  return data;
}
static int32_t *table_of(count n, count limit) {
  int32_t *table = bytes_of(n * 4);
  for (count i = 0; i < n; i++) table[i] = (int32_t)below(limit);
  return table;
}

static void keep_rows(const float *data, count rows, count width, count stride) {
  for (count r = 0; r < rows; r++) {
    for (count i = 0; i < width; i++) add_float(&valid, data[r * stride + i]);
  }
  for (count i = 0; i < rows * stride; i++) add_float(&whole, data[i]);
}
static void keep(const float *data, count n) { keep_rows(data, 1, n, n); }
static void keep_bytes(const uint8_t *data, count rows, count width, count stride) {
  for (count r = 0; r < rows; r++) add_bytes(&valid, data + r * stride, (size_t)width);
  add_bytes(&whole, data, (size_t)(rows * stride));
}
static void keep_whole(uint64_t x) {
  add_whole(&valid, x);
  add_whole(&whole, x);
}
static void keep_double(double x) {
  add_double(&valid, x);
  add_double(&whole, x);
}

// Frees what the case took; nothing may have been written behind a buffer.
static void end_case(void) {
  cases++;
  while (buffer_count > 0) {
    float *data = buffers[--buffer_count].data;
    count n = buffers[buffer_count].floats;
    for (int i = 0; n >= 0 && i < slack; i++)
      strays += bits_of(data[n + i]) != bits_of(around == all_zero ? 0.0f : foul(i + n));
    free(data);
  }
}
