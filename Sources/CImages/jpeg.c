#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "images_parts.h"

typedef struct {
  struct jpeg_error_mgr base;
  jmp_buf back;
  pm_image *image;
} handler;

static void fail(j_common_ptr codec) {
  handler *to = (handler *)codec->err;
  char words[JMSG_LENGTH_MAX];
  codec->err->format_message(codec, words);
  snprintf(to->image->words, PM_IMAGE_WORDS, "%s", words);
  longjmp(to->back, 1);
}
// The library fills in what a damaged file lacks, and warns; here that is an error.
static void warn(j_common_ptr codec, int level) {
  if (level < 0) fail(codec);
}

// A small file may claim hundreds of scans over a large picture.
enum { SCAN_LIMIT = 64 };
static void watch(j_common_ptr codec) {
  if (((j_decompress_ptr)codec)->input_scan_number <= SCAN_LIMIT) return;
  handler *to = (handler *)codec->err;
  snprintf(to->image->words, PM_IMAGE_WORDS, "it has more than %d scans", SCAN_LIMIT);
  longjmp(to->back, 1);
}

int pm_jpeg_decode(const uint8_t *bytes, size_t count, int channels, int side_limit, size_t pixel_limit, pm_image *image) {
  memset(image, 0, sizeof *image);
  struct jpeg_decompress_struct codec;
  memset(&codec, 0, sizeof codec);
  struct jpeg_progress_mgr progress = {.progress_monitor = watch};
  handler errors = {.image = image};
  // Written after setjmp and read after longjmp, hence volatile.
  uint8_t *volatile row = NULL;
  codec.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = fail;
  errors.base.emit_message = warn;
  if (setjmp(errors.back)) {
    jpeg_destroy_decompress(&codec);
    free(row);
    pm_image_free(image);
    return 1;
  }
  jpeg_create_decompress(&codec);
  codec.progress = &progress;
  jpeg_mem_src(&codec, bytes, count);
  jpeg_read_header(&codec, TRUE);
  if (codec.num_components != 1 && codec.num_components != 3) {
    snprintf(image->words, PM_IMAGE_WORDS, "it has %d colour components; 1 and 3 are read", codec.num_components);
    longjmp(errors.back, 1);
  }
  if (!pm_image_room(image, codec.image_width, codec.image_height, channels, side_limit, pixel_limit))
    longjmp(errors.back, 1);
  codec.out_color_space = codec.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  codec.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&codec);
  row = malloc((size_t)codec.output_width * (size_t)codec.output_components);
  if (row == NULL || (int)codec.output_width != image->width || (int)codec.output_height != image->height) {
    snprintf(image->words, PM_IMAGE_WORDS, "there is no memory for its rows");
    longjmp(errors.back, 1);
  }
  while (codec.output_scanline < codec.output_height) {
    int y = (int)codec.output_scanline;
    JSAMPROW line = row;
    jpeg_read_scanlines(&codec, &line, 1);
    pm_image_row(image, y, row, codec.output_components, channels);
  }
  jpeg_finish_decompress(&codec);
  jpeg_destroy_decompress(&codec);
  free(row);
  return 0;
}
