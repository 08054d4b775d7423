/* Fixed-width big-endian numbers, to digits and back.
 *
 * Two digits are 104 bits, 13 bytes: an even digit starts with a byte, an odd
 * one with half a byte. */
#include "conversions.h"

INLINE u64 reversed(u64 x) { return __builtin_bswap64(x); }

/* The 8 bytes that end so many bytes before the end of a number, as far as there are so many. */
INLINE u64 word(const uint8_t *number, long size, long before)
{
    long start = size - before - 8;
    if (start >= 0) {
        u64 x;
        memcpy(&x, number + start, 8);
        return reversed(x);
    }
    u64 x = 0;
    for (long at = 0; at < size - before; at++) x = x << 8 | number[at];
    return x;
}

void read_numbers(Ints *to, long digits, const uint8_t *const from[N], long size)
{
    u64 *lanes = (u64 *)to;
    for (int lane = 0; lane < N; lane++)
        for (long i = 0; i < digits; i++) {
            u64 x = word(from[lane], size, i / 2 * 13 + (i & 1 ? 6 : 0));
            lanes[i * N + lane] = (i & 1 ? x >> 4 : x) & MASK;
        }
}

void write_numbers(uint8_t *to, long stride, long size, const Ints *from, long digits, int count)
{
    const u64 *lanes = (const u64 *)from;
    for (int lane = 0; lane < count; lane++) {
        uint8_t *number = to + lane * stride;
        for (long i = 0; i < digits; i += 2) {
            u64 even = lanes[i * N + lane];
            u64 odd = i + 1 < digits ? lanes[(i + 1) * N + lane] : 0;
            u64 low = even | odd << 52, high = odd >> 12;
            long end = size - i / 2 * 13;
            if (end >= 13) {
                low = reversed(low);
                memcpy(number + end - 8, &low, 8);
                for (int b = 0; b < 5; b++) number[end - 9 - b] = (uint8_t)(high >> 8 * b);
                continue;
            }
            for (int b = 0; b < 8 && end > b; b++) number[end - 1 - b] = (uint8_t)(low >> 8 * b);
            for (int b = 0; b < 5 && end > 8 + b; b++) number[end - 9 - b] = (uint8_t)(high >> 8 * b);
        }
    }
}
