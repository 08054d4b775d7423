/* Between fixed-width big-endian numbers and N numbers side by side. */
#ifndef HECLI_CONVERSIONS_H
#define HECLI_CONVERSIONS_H

#include "vectors.h"

/* Read N numbers of `size` bytes each, from the lowest 52 bits on. */
void read_numbers(Ints *to, long digits, const uint8_t *const from[N], long size);

/* Write the first `count` of N numbers as `size` bytes each, no more than the digits have, `stride` bytes apart. */
void write_numbers(uint8_t *to, long stride, long size, const Ints *from, long digits, int count);

#endif
