#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "images_parts.h"

typedef struct {
  const uint8_t *bytes;
  size_t count, at;
} source;

static void give(png_structp png, png_bytep out, size_t count) {
  source *from = png_get_io_ptr(png);
  if (count > from->count - from->at) png_error(png, "it is cut short");
  memcpy(out, from->bytes + from->at, count);
  from->at += count;
}

static void fail(png_structp png, png_const_charp words) {
  pm_image *image = png_get_error_ptr(png);
  snprintf(image->words, PM_IMAGE_WORDS, "%s", words);
  png_longjmp(png, 1);
}
static void ignore(png_structp png, png_const_charp words) {
  (void)png;
  (void)words;
}

int pm_png_decode(const uint8_t *bytes, size_t count, int channels, int side_limit, size_t pixel_limit, pm_image *image) {
  memset(image, 0, sizeof *image);
  source from = {bytes, count, 0};
  // Written after setjmp and read after longjmp, hence volatile.
  uint8_t *volatile rows = NULL;
  png_bytep *volatile starts = NULL;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, image, fail, ignore);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (info == NULL) {
    png_destroy_read_struct(&png, NULL, NULL);
    snprintf(image->words, PM_IMAGE_WORDS, "libpng could not begin");
    return 1;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    free(starts);
    pm_image_free(image);
    return 1;
  }
  png_set_read_fn(png, &from, give);
  png_set_user_limits(png, (png_uint_32)side_limit, (png_uint_32)side_limit);
  png_set_chunk_malloc_max(png, 1 << 20);
  png_set_chunk_cache_max(png, 16);
  png_read_info(png, info);
  if (!pm_image_room(image, png_get_image_width(png, info), png_get_image_height(png, info), channels, side_limit,
                     pixel_limit))
    png_longjmp(png, 1);
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  int row_channels = png_get_channels(png, info);
  size_t row_bytes = png_get_rowbytes(png, info);
  if ((row_channels != 1 && row_channels != 3) || row_bytes != (size_t)image->width * (size_t)row_channels)
    png_error(png, "its pixels are of an unknown kind");
  rows = malloc(row_bytes * (size_t)image->height);
  starts = malloc(sizeof(png_bytep) * (size_t)image->height);
  if (rows == NULL || starts == NULL) png_error(png, "there is no memory for its rows");
  for (int y = 0; y < image->height; y++) starts[y] = rows + (size_t)y * row_bytes;
  png_read_image(png, starts);
  png_read_end(png, NULL);
  for (int y = 0; y < image->height; y++) pm_image_row(image, y, starts[y], row_channels, channels);
  png_destroy_read_struct(&png, &info, NULL);
  free(rows);
  free(starts);
  return 0;
}
