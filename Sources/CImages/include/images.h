// PNG and JPEG files that anybody may have written, as plain bytes. The libraries report errors by longjmp, which Swift cannot
// live with; here they become return codes and words.
#ifndef PEERMILL_IMAGES_H
#define PEERMILL_IMAGES_H
#include <stddef.h>
#include <stdint.h>

enum { PM_IMAGE_WORDS = 200 };

typedef struct {
  int width, height;
  // channels * height * width bytes, channel by channel and row by row; free with pm_image_free.
  uint8_t *pixels;
  // What is wrong, ended by 0.
  char words[PM_IMAGE_WORDS];
} pm_image;

// Each decodes `count` bytes to 3 channels (red, green, blue) or 1 (grey, by the weights of ITU-R BT.601 in integers).
// Transparency is left out, 16 bits become the upper 8. Sides above `side_limit` or more pixels than `pixel_limit` are refused
// before memory is asked for. Returns 0, or 1 with `words` set and no pixels.
int pm_png_decode(const uint8_t *bytes, size_t count, int channels, int side_limit, size_t pixel_limit, pm_image *image);
int pm_jpeg_decode(const uint8_t *bytes, size_t count, int channels, int side_limit, size_t pixel_limit, pm_image *image);
void pm_image_free(pm_image *image);
#endif
