/* What the kernels need in a memory without anything else in it, and where each of them is. */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t size)
{
    for (size_t at = 0; at < size; at++) ((char *)to)[at] = ((const char *)from)[at];
    return to;
}

void *memset(void *to, int value, size_t size)
{
    for (size_t at = 0; at < size; at++) ((char *)to)[at] = (char)value;
    return to;
}

__attribute__((naked)) static void halt(void) { __asm__("hlt"); }

#define EACH(of) \
    of(lanes) of(rows) of(out_of_range) of(powers_scratch) of(powers) of(multiply_scratch) of(multiply) of(buckets_scratch) \
    of(buckets) of(table_scratch) of(entry) of(fill_table) of(encrypt_scratch) of(encrypt)
#define DECLARED(name) void hecli_##name(void);
#define LISTED(name) hecli_##name,

EACH(DECLARED)

/* As emulator.py has them. */
__attribute__((section(".functions"), used)) void (*const functions[])(void) = { halt, EACH(LISTED) };
