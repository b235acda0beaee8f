// What the two decoders share.
#ifndef PEERMILL_IMAGES_PARTS_H
#define PEERMILL_IMAGES_PARTS_H
#include <stdio.h>

#include "images.h"

// Checks the sides and makes room for the pixels; 0 with words where that cannot be.
int pm_image_room(pm_image *image, long width, long height, int channels, int side_limit, size_t pixel_limit);
// Puts a row of grey or red, green, blue into its place.
void pm_image_row(pm_image *image, int y, const uint8_t *row, int row_channels, int channels);
#endif
