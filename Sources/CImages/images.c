#include "images_parts.h"

#include <stdlib.h>
#include <string.h>

void pm_image_free(pm_image *image) {
  free(image->pixels);
  image->pixels = NULL;
}

int pm_image_room(pm_image *image, long width, long height, int channels, int side_limit, size_t pixel_limit) {
  if (width < 1 || height < 1 || width > side_limit || height > side_limit ||
      (size_t)width * (size_t)height > pixel_limit) {
    snprintf(image->words, PM_IMAGE_WORDS, "it has %ld x %ld pixels; a side has at most %d, and a picture %zu", width,
             height, side_limit, pixel_limit);
    return 0;
  }
  image->width = (int)width;
  image->height = (int)height;
  image->pixels = calloc((size_t)width * (size_t)height, (size_t)channels);
  if (image->pixels == NULL) snprintf(image->words, PM_IMAGE_WORDS, "there is no memory for %ld x %ld pixels", width, height);
  return image->pixels != NULL;
}

void pm_image_row(pm_image *image, int y, const uint8_t *row, int row_channels, int channels) {
  size_t plane = (size_t)image->width * (size_t)image->height;
  uint8_t *out = image->pixels + (size_t)y * (size_t)image->width;
  for (int x = 0; x < image->width; x++, row += row_channels) {
    int r = row[0], g = row_channels == 3 ? row[1] : r, b = row_channels == 3 ? row[2] : r;
    if (channels == 3) {
      out[x] = (uint8_t)r;
      out[plane + x] = (uint8_t)g;
      out[2 * plane + x] = (uint8_t)b;
    } else {
      // 0.299, 0.587 and 0.114 in 16 bits; they add up to 65,536, so that grey stays as it is.
      out[x] = (uint8_t)((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16);
    }
  }
}
