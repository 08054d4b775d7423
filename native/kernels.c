/* Arithmetic modulo large odd numbers, N numbers at once, in radix 2^52.
 *
 * Notation: m is a modulus of `length` digits and R = 2^(52 * length), at least
 * 2^12 * m, so that sums and remainders that are some m too large fit. Numbers
 * are columns (Ints, sums that were not carried) or digits (Digits, below 2^52).
 *
 * Nothing here branches on a number, nor looks anything up by one, but the
 * tables of `hecli_encrypt` and `hecli_buckets`: see docs/security.md.
 */
#include "conversions.h"

#define API __attribute__((visibility("default")))

/* Rows of digits that are read by index have a length that is a multiple of so many. */
enum { ROW = 8 };
/* Powers take so many bits of the exponent at once. */
enum { WINDOW = 5 };

/* As callers give one: digits one after the other. */
typedef struct {
    long length;
    const u64 *modulus;    /* m */
    const u64 *complement; /* R - m */
    const u64 *inverse;    /* -1/m modulo R */
    const u64 *square;     /* R^2 modulo m */
    const u64 *one;        /* R modulo m */
    const u64 *multiples;  /* 8m, 4m, 2m, m */
} Modulus;

/* The same side by side, and columns to work in. */
typedef struct {
    long length;
    const u64 *multiples;
    Digits *modulus, *complement, *inverse, *square, *quotient, *digits;
    Ints *sums, *more, *ints;
} Frame;

static long row_of(long length) { return (length + ROW - 1) / ROW * ROW; }

/* --- memory: callers give it, in one piece --- */

typedef struct { uint8_t *at; } Scratch;

/* What the address sanitizer sees touched between two parts, and how many parts there are at most. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { GAP = 2, PARTS = 32 };
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)0)
enum { GAP = 0, PARTS = 0 };
#endif

static Ints *take(Scratch *scratch, long count)
{
    Ints *taken = (Ints *)scratch->at;
    scratch->at += (count + GAP) * (long)sizeof(Ints);
    ASAN_POISON_MEMORY_REGION(taken + count, GAP * sizeof(Ints));
    return taken;
}

static Digits *take_digits(Scratch *scratch, long count) { return (Digits *)take(scratch, count); }

static Scratch scratch_at(uint8_t *memory)
{
    Scratch scratch = { memory + (0 - (uintptr_t)memory) % sizeof(Ints) };
    return scratch;
}

static void spread(Digits *to, const u64 *from, long length)
{
    for (long i = 0; i < length; i++) to[i] = DIGITS(SAME(from[i]));
}

static long frame_scratch(long length) { return 13 * length + 2 * ROWS + PARTS * GAP; }

static Frame frame_of(const Modulus *m, Scratch *scratch)
{
    long length = m->length;
    Frame f = { .length = length, .multiples = m->multiples };
    f.modulus = take_digits(scratch, length);
    f.complement = take_digits(scratch, length);
    f.inverse = take_digits(scratch, length);
    f.square = take_digits(scratch, length);
    f.quotient = take_digits(scratch, 2 * length);
    f.digits = take_digits(scratch, length);
    f.sums = take(scratch, 2 * length + ROWS);
    f.more = take(scratch, 2 * length + ROWS);
    f.ints = take(scratch, 2 * length);
    spread(f.modulus, m->modulus, length);
    spread(f.complement, m->complement, length);
    spread(f.inverse, m->inverse, length);
    spread(f.square, m->square, length);
    return f;
}

/* --- products --- */

/* Add to a column the products x[r] * b[-r] for r from first to last, and what the column below left over. */
INLINE Ints column(Ints *sum, Ints below, Ints bias, const Digits *x, const Digits *b, int first, int last)
{
    Ints low = ADD(*sum, below), high = bias;
    UNROLL for (int r = first; r <= last; r++) MAC(low, high, x[r], b[-r]);
    *sum = low;
    return high;
}

/* The columns of ROWS rows below `end`, of which each but the first few takes ROWS products. */
INLINE Ints full_columns(Ints *sums, Ints high, const Digits *x, const Digits *b, long start, long end, int next)
{
    for (long c = start; c < end - 1; c++)
        high = column(sums + c, high, BIAS(ROWS, ROWS), x, b + c, 0, ROWS - 1);
    return column(sums + end - 1, high, BIAS(next, ROWS), x, b + end - 1, 0, ROWS - 1);
}

INLINE Ints first_columns(Ints *sums, const Digits *x, const Digits *b)
{
    Ints high = BIAS(1, 0);
    UNROLL for (int c = 0; c < ROWS - 1; c++)
        high = column(sums + c, high, BIAS(c + 2, c + 1), x, b + c, 0, c);
    return high;
}

INLINE void last_columns(Ints *sums, Ints high, const Digits *x, const Digits *b)
{
    UNROLL for (int c = 0; c < ROWS - 1; c++)
        high = column(sums + c, high, BIAS(ROWS - 2 - c, ROWS - 1 - c), x, b + c, c + 1, ROWS - 1);
    sums[ROWS - 1] = ADD(sums[ROWS - 1], high);
}

/* sums += a[0..ROWS) * b[0..length); length at least ROWS. */
INLINE void add_rows(Ints *restrict sums, const Digits *a, const Digits *b, long length)
{
    Digits x[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++) x[r] = a[r];
    Ints high = first_columns(sums, x, b);
    high = full_columns(sums, high, x, b, ROWS - 1, length, ROWS - 1);
    last_columns(sums + length, high, x, b + length);
}

/* The same without what is above `length` columns. */
INLINE void add_low_rows(Ints *restrict sums, const Digits *a, const Digits *b, long length)
{
    Digits x[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++) x[r] = a[r];
    Ints high = first_columns(sums, x, b);
    full_columns(sums, high, x, b, ROWS - 1, length, 0);
}

static void clear(Ints *sums, long length)
{
    for (long i = 0; i < length; i++) sums[i] = SAME(0);
}

/* sums += a * b */
static void add_product(Ints *sums, const Digits *a, const Digits *b, long length)
{
    for (long i = 0; i < length; i += ROWS) add_rows(sums + i, a + i, b, length);
}

/* sums += a * b modulo R */
static void add_low(Ints *sums, const Digits *a, const Digits *b, long length)
{
    for (long i = 0; i < length; i += ROWS) add_low_rows(sums + i, a + i, b, length - i);
}

/* sums += a * b, of which the columns from length - 2 on are whole. */
static void add_high(Ints *sums, const Digits *a, const Digits *b, long length)
{
    for (long i = 0; i < length; i += ROWS) {
        long from = length - 1 - ROWS - i;
        if (from < 0) from = 0;
        add_rows(sums + i + from, a + i, b + from, length - from);
    }
}

/* sums = a^2 */
static void square(Ints *sums, const Digits *a, long length)
{
    clear(sums, 2 * length);
    for (long i = 0; i < length; i += ROWS) {
        UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int s = r + 1; s < ROWS; s++) {
            Ints *sum = sums + 2 * i + r + s;
            MAC(sum[0], sum[1], a[i + r], a[i + s]);
            sum[0] = ADD(sum[0], BIAS(1, 0));
            sum[1] = ADD(sum[1], BIAS(0, 1));
        }
        if (i + ROWS < length) add_rows(sums + 2 * i + ROWS, a + i, a + i + ROWS, length - i - ROWS);
    }
    for (long i = 0; i < length; i++) {
        Ints low = ADD(sums[2 * i], sums[2 * i]), high = ADD(sums[2 * i + 1], sums[2 * i + 1]);
        MAC(low, high, a[i], a[i]);
        sums[2 * i] = ADD(low, BIAS(1, 0));
        sums[2 * i + 1] = ADD(high, BIAS(0, 1));
    }
}

/* --- reduction --- */

/* Carry columns into digits; gives what is left above. */
static Ints carry(Digits *to, const Ints *sums, long length, Ints below)
{
    Ints mask = SAME(MASK);
    for (long i = 0; i < length; i++) {
        Ints sum = ADD(sums[i], below);
        to[i] = DIGITS(AND(sum, mask));
        below = CARRY(sum);
    }
    return below;
}

/* P. L. Montgomery, "Modular multiplication without trial division" (1985), ROWS digits at once:
 * adds to the columns the multiple of m that makes the lowest ROWS of them 0. */
INLINE void reduce_block(Ints *restrict sums, const Digits *m, Digits inverse, long length, Ints *quotient)
{
    Digits q[ROWS];
    Ints high = SAME(0), mask = SAME(MASK);
    UNROLL for (int c = 0; c < ROWS; c++) {
        Ints sum = ADD(sums[c], high);
        high = c + 1 < ROWS ? BIAS(c + 1, c + 1) : BIAS(ROWS, ROWS);
        UNROLL for (int r = 0; r < c; r++) MAC(sum, high, q[r], m[c - r]);
        quotient[c] = AND(LOW(DIGITS(AND(sum, mask)), inverse), mask);
        q[c] = DIGITS(quotient[c]);
        MAC(sum, high, q[c], m[0]);
        high = ADD(high, CARRY(ADD(sum, BIAS(1, 0))));
    }
    high = full_columns(sums, high, q, m, ROWS, length, ROWS - 1);
    last_columns(sums + length, high, q, m + length);
}

/* to = sums / R modulo m, less than sums / R + m */
static void reduce(Frame *f, Digits *to, Ints *sums)
{
    Ints quotient[ROWS];
    for (long i = 0; i < f->length; i += ROWS)
        reduce_block(sums + i, f->modulus, f->inverse[0], f->length, quotient);
    carry(to, sums + f->length, f->length, SAME(0));
}

/* to = a * b / R modulo m, less than 2m where a * b < R * m */
static void multiply(Frame *f, Digits *to, const Digits *a, const Digits *b)
{
    clear(f->sums, 2 * f->length);
    add_product(f->sums, a, b, f->length);
    reduce(f, to, f->sums);
}

/* x -= value where x is not less; gives 1 where it was not. */
static Ints subtract(Frame *f, Digits *x, const u64 *value, long length)
{
    Ints mask = SAME(MASK), one = SAME(1);
    for (long i = 0; i < length; i++) {
        Ints sum = ADD(ADD(INTS(x[i]), SAME(MASK ^ value[i])), one);
        f->ints[i] = AND(sum, mask);
        one = CARRY(sum);
    }
    Ints chosen = SUB(SAME(0), one);
    for (long i = 0; i < length; i++) {
        Ints old = INTS(x[i]);
        x[i] = DIGITS(XOR(old, AND(XOR(old, f->ints[i]), chosen)));
    }
    return one;
}

/* The remainder of x, which is below 2^times * m. */
static void settle(Frame *f, Digits *x, int times)
{
    for (int i = 4 - times; i < 4; i++) subtract(f, x, f->multiples + i * f->length, f->length);
}

/* --- products with a number whose quotient is known ---
 *
 * V. Shoup, in NTL; D. Harvey, "Faster arithmetic for number-theoretic transforms"
 * (2014), section 2: with a' = floor(a * R / m), the quotient of x * a by m is the
 * upper half of x * a', or up to 2 more. */

/* a' of an a below m, and a * R modulo m. */
static void quotient_of(Frame *f, Digits *quotient, Digits *scaled, const Digits *a)
{
    multiply(f, scaled, a, f->square);
    settle(f, scaled, 1);
    /* a * R - scaled = a' * m */
    clear(f->sums, f->length);
    add_low(f->sums, scaled, f->inverse, f->length);
    carry(quotient, f->sums, f->length, SAME(0));
}

/* x = x * a + addend - q * m, modulo R; q, which is up to 2 too small, goes into f->quotient. */
static void multiply_by(Frame *f, Digits *x, const Digits *a, const Digits *a_quotient, const Digits *addend)
{
    long length = f->length;
    clear(f->sums + length - 1 - ROWS, length + 1 + ROWS);
    add_high(f->sums, x, a_quotient, length);
    Ints below = CARRY(f->sums[length - 2]);
    below = CARRY(ADD(f->sums[length - 1], below));
    if (addend)
        for (long i = 0; i < length; i++) f->more[i] = INTS(addend[i]);
    else
        clear(f->more, length);
    carry(f->quotient, f->sums + length, length, below);
    add_low(f->more, x, a, length);
    add_low(f->more, f->quotient, f->complement, length);
    carry(x, f->more, length, SAME(0));
}

/* --- pairs: a - b * m stands for a number modulo m^2, with a and b some m at most ---
 *
 * The product of a - b * m and c - d * m is a * c - (a * d + b * c) * m. Montgomery's
 * reduction of a * c finds q with a * c = a' * R - q * m, and q joins the other part. */

static void reduce_pair(Frame *f, Digits *pair)
{
    Ints quotient[ROWS], unused[ROWS];
    long length = f->length;
    for (long i = 0; i < length; i += ROWS) {
        reduce_block(f->sums + i, f->modulus, f->inverse[0], length, quotient);
        UNROLL for (int r = 0; r < ROWS; r++) f->more[i + r] = ADD(f->more[i + r], quotient[r]);
        reduce_block(f->more + i, f->modulus, f->inverse[0], length, unused);
    }
    carry(pair, f->sums + length, length, SAME(0));
    carry(pair + length, f->more + length, length, SAME(0));
}

static void square_pair(Frame *f, Digits *pair)
{
    long length = f->length;
    square(f->sums, pair, length);
    clear(f->more, 2 * length);
    add_product(f->more, pair, pair + length, length);
    for (long i = 0; i < 2 * length; i++) f->more[i] = ADD(f->more[i], f->more[i]);
    reduce_pair(f, pair);
}

static void multiply_pair(Frame *f, Digits *pair, const Digits *other)
{
    long length = f->length;
    clear(f->sums, 2 * length);
    clear(f->more, 2 * length);
    add_product(f->sums, pair, other, length);
    add_product(f->more, pair, other + length, length);
    add_product(f->more, pair + length, other, length);
    reduce_pair(f, pair);
}

/* --- N rows of digits that lie anywhere, side by side, and back --- */

static void gather(Ints *to, const u64 *const rows[N], long row)
{
    for (long i = 0; i < row; i += N) {
        Ints x[N];
        UNROLL for (int k = 0; k < N; k++) memcpy(x + k, rows[k] + i, sizeof(Ints));
        transpose(x);
        UNROLL for (int k = 0; k < N; k++) to[i + k] = x[k];
    }
}

static void scatter(u64 *const rows[N], const Ints *from, long row)
{
    for (long i = 0; i < row; i += N) {
        Ints x[N];
        UNROLL for (int k = 0; k < N; k++) x[k] = from[i + k];
        transpose(x);
        UNROLL for (int k = 0; k < N; k++) memcpy(rows[k] + i, x + k, sizeof(Ints));
    }
}

/* Numbers of `parts` times `length` digits, as digits. */
static void read_wide(Digits *to, Ints *ints, long digits, const uint8_t *from, long size, long at, long count)
{
    const uint8_t *numbers[N];
    /* Where there are fewer than N left, the first of them stands for the others. */
    for (int k = 0; k < N; k++) numbers[k] = from + (at + k < count ? at + k : at) * size;
    read_numbers(ints, digits, numbers, size);
    for (long i = 0; i < digits; i++) to[i] = DIGITS(ints[i]);
}

static int left(long count, long at) { return count - at < N ? (int)(count - at) : N; }

static void write(Frame *f, uint8_t *to, long stride, long size, const Digits *from, long digits, int count)
{
    for (long i = 0; i < digits; i++) f->ints[i] = INTS(from[i]);
    write_numbers(to, stride, size, f->ints, digits, count);
}

/* --- what is called --- */

API long hecli_lanes(void) { return N; }

API long hecli_rows(void) { return ROWS; }

/* The first number that is 0 or not below `limit`, all of `size` bytes; -1 where there is none. */
API long hecli_out_of_range(const uint8_t *numbers, long count, long size, const uint8_t *limit)
{
    for (long i = 0; i < count; i++, numbers += size) {
        long at = 0;
        while (at < size && numbers[at] == limit[at]) at++;
        if (at == size || numbers[at] > limit[at]) return i;
        uint8_t any = 0;
        for (at = 0; at < size; at++) any |= numbers[at];
        if (!any) return i;
    }
    return -1;
}

/* Powers modulo m^2, as pairs: a + b * m, both below m.
 *
 * `scales` has for each part i of a number the pair of R^(i + 2), `one` that of R; the windows of the
 * exponent are WINDOW bits each, the highest first. What is read of the table is all of it. */
API long hecli_powers_scratch(long length, long parts)
{
    return (frame_scratch(length) + ((2 << WINDOW) + 6 + 4 * parts) * length + 1) * (long)sizeof(Ints);
}

static void choose(Digits *to, const Digits *table, long digits, unsigned index)
{
    for (long i = 0; i < digits; i += 2 * ROWS) {
        Ints chosen[2 * ROWS];
        UNROLL for (int j = 0; j < 2 * ROWS; j++) chosen[j] = SAME(0);
        for (unsigned entry = 0; entry < 1 << WINDOW; entry++) {
            u64 differs = entry ^ index;
            Ints mask = SAME((differs - 1) >> 63 ? UINT64_MAX : 0);
            UNROLL for (int j = 0; j < 2 * ROWS; j++)
                chosen[j] = OR(chosen[j], AND(mask, BITS(table[entry * digits + i + j])));
        }
        UNROLL for (int j = 0; j < 2 * ROWS; j++) to[i + j] = FROM_BITS(chosen[j]);
    }
}

static APART void powers(uint8_t *out, long out_size, const uint8_t *in, long count, long size, long parts,
                         const Modulus *m, const u64 *scales, const u64 *one, const uint8_t *windows,
                         long exponent, uint8_t *memory)
{
    Scratch scratch = scratch_at(memory);
    Frame f = frame_of(m, &scratch);
    long length = f.length, pair = 2 * length;
    Digits *table = take_digits(&scratch, pair << WINDOW), *x = take_digits(&scratch, pair);
    Digits *y = take_digits(&scratch, pair), *scale = take_digits(&scratch, pair * parts);
    Digits *wide = take_digits(&scratch, length * parts);
    Ints *ints = take(&scratch, length * parts + pair);
    spread(scale, scales, pair * parts);
    spread(table, one, pair);
    for (long at = 0; at < count; at += N) {
        read_wide(wide, ints, length * parts, in, size, at, count);
        clear(f.sums, pair);
        clear(f.more, pair);
        for (long i = 0; i < parts; i++) {
            add_product(f.sums, wide + i * length, scale + i * pair, length);
            add_product(f.more, wide + i * length, scale + i * pair + length, length);
        }
        reduce_pair(&f, table + pair);
        for (long i = 2; i < 1 << WINDOW; i++) {
            memcpy(table + i * pair, table + (i - 1) * pair, (size_t)pair * sizeof(Digits));
            multiply_pair(&f, table + i * pair, table + pair);
        }
        choose(x, table, pair, windows[0]);
        for (long i = 1; i < exponent; i++) {
            for (int bit = 0; bit < WINDOW; bit++) square_pair(&f, x);
            choose(y, table, pair, windows[i]);
            multiply_pair(&f, x, y);
        }
        for (long i = 0; i < length; i++) {
            f.sums[i] = INTS(x[i]);
            f.more[i] = INTS(x[length + i]);
        }
        clear(f.sums + length, length);
        clear(f.more + length, length);
        reduce_pair(&f, x);
        /* From a - b * m, a at most m and b at most m + 1, to a + (2m - b) * m; where a was m, one m more. */
        Ints more = subtract(&f, x, m->modulus, length);
        for (long i = 0; i < length; i++)
            f.sums[i] = ADD(SAME(m->multiples[2 * length + i]), SUB(SAME(MASK), INTS(x[length + i])));
        carry(x + length, f.sums, length, ADD(more, SAME(1)));
        settle(&f, x + length, 2);
        write(&f, out + 2 * at * out_size, 2 * out_size, out_size, x, length, left(count, at));
        write(&f, out + (2 * at + 1) * out_size, 2 * out_size, out_size, x + length, length, left(count, at));
    }
}

API void hecli_powers(uint8_t *out, long out_size, const uint8_t *in, long count, long size, long parts,
                      const Modulus *m, const u64 *scales, const u64 *one, const uint8_t *windows, long exponent,
                      uint8_t *memory)
{
    ROUNDED(powers(out, out_size, in, count, size, parts, m, scales, one, windows, exponent, memory));
}

/* Products modulo m of `sources` batches, one after the other, of `count` numbers each. `fix` is R^sources
 * modulo m. `units` gets N numbers that are units modulo m where all products are, and only then. */
API long hecli_multiply_scratch(long length)
{
    return (frame_scratch(length) + 4 * length + 1) * (long)sizeof(Ints);
}

static APART void products(uint8_t *out, uint8_t *units, const uint8_t *in, long sources, long count, long size,
                           const Modulus *m, const u64 *fix, uint8_t *memory)
{
    Scratch scratch = scratch_at(memory);
    Frame f = frame_of(m, &scratch);
    long length = f.length;
    Digits *x = take_digits(&scratch, length), *y = take_digits(&scratch, length);
    Digits *unit = take_digits(&scratch, length);
    Ints *ints = take(&scratch, length);
    spread(unit, m->one, length);
    for (long at = 0; at < count; at += N) {
        spread(x, fix, length);
        for (long source = 0; source < sources; source++) {
            read_wide(y, ints, length, in + source * count * size, size, at, count);
            multiply(&f, x, x, y);
        }
        settle(&f, x, 1);
        write(&f, out + at * size, size, size, x, length, left(count, at));
        multiply(&f, unit, unit, x);
    }
    settle(&f, unit, 1);
    write(&f, units, size, size, unit, length, N);
}

API void hecli_multiply(uint8_t *out, uint8_t *units, const uint8_t *in, long sources, long count, long size,
                        const Modulus *m, const u64 *fix, uint8_t *memory)
{
    ROUNDED(products(out, units, in, sources, count, size, m, fix, memory));
}

/* Products of powers by buckets (N. Pippenger, 1980): for each repetition and window of the exponents the
 * product of all bases, each to the power of its digit there, modulo m.
 *
 * A number of the N is one window of one repetition, and each base is the same for all of them: what is
 * multiplied with it has its quotient from the start. Exponents are `width` bytes, the lowest `bits` count.
 * `scales` has for each part i of a base R^(i + 1) modulo m. */
API long hecli_buckets_scratch(long length, long parts, long count, long window)
{
    long row = row_of(length), vectors = frame_scratch(length) + 2 * parts * length + 8 * row + 2 * length;
    return (vectors + 1) * (long)sizeof(Ints)
        + (2 * (count + N) + ((long)N << window) + 1) * row * (long)sizeof(u64);
}

static unsigned digit_of(const uint8_t *exponent, long width, long bit, long bits)
{
    unsigned value = 0;
    for (long at = 0; at < 3; at++)
        if (width > bit / 8 + at) value |= (unsigned)exponent[width - 1 - bit / 8 - at] << 8 * at;
    return value >> bit % 8 & ((1u << bits) - 1);
}

static APART void buckets(uint8_t *out, long out_size, const uint8_t *in, long count, long size, long parts,
                          const Modulus *m, const u64 *scales, const uint8_t *exponents, long repetitions,
                          long width, long bits, long window, uint8_t *memory)
{
    Scratch scratch = scratch_at(memory);
    Frame f = frame_of(m, &scratch);
    long length = f.length, row = row_of(length), windows = (bits + window - 1) / window;
    Digits *wide = take_digits(&scratch, length * parts);
    Digits *x = take_digits(&scratch, row), *y = take_digits(&scratch, row), *a = take_digits(&scratch, row);
    Digits *a_quotient = take_digits(&scratch, row), *running = take_digits(&scratch, row);
    Digits *product = take_digits(&scratch, row), *one = take_digits(&scratch, row), *unit = take_digits(&scratch, row);
    Ints *ints = take(&scratch, length * parts + 2 * length);
    u64 *bases = (u64 *)scratch.at, *first = bases + 2 * (count + N) * row;
    u64 *rows[N];

    /* Each base and its quotient, one row after the other. */
    Digits *scale = one;
    clear((Ints *)x, row);
    clear((Ints *)y, row);
    clear((Ints *)a, row);
    for (long at = 0; at < count; at += N) {
        read_wide(wide, ints, length * parts, in, size, at, count);
        clear(f.sums, 2 * length);
        for (long i = 0; i < parts; i++) {
            spread(scale, scales + i * length, length);
            add_product(f.sums, wide + i * length, scale, length);
        }
        reduce(&f, x, f.sums);
        settle(&f, x, 3);
        quotient_of(&f, y, a, x);
        for (int k = 0; k < N; k++) rows[k] = bases + 2 * (at + k) * row;
        scatter(rows, (Ints *)x, row);
        for (int k = 0; k < N; k++) rows[k] += row;
        scatter(rows, (Ints *)y, row);
    }

    clear((Ints *)one, row);
    spread(one, m->one, length);
    clear((Ints *)unit, row);
    unit[0] = DIGITS(SAME(1));
    for (long task = 0; task < repetitions * windows; task += N) {
        for (long bucket = 0; bucket < 1 << window; bucket++) {
            for (int k = 0; k < N; k++) rows[k] = first + ((k << window) + bucket) * row;
            scatter(rows, (Ints *)one, row);
        }
        for (long at = 0; at < count; at++) {
            for (int k = 0; k < N; k++) {
                long number = task + k < repetitions * windows ? task + k : task;
                long bit = number % windows * window, own = bits - bit < window ? bits - bit : window;
                const uint8_t *exponent = exponents + (number / windows * count + at) * width;
                rows[k] = first + (((long)k << window) + digit_of(exponent, width, bit, own)) * row;
            }
            const u64 *base = bases + 2 * at * row;
            for (long i = 0; i < length; i++) {
                a[i] = FROM_BITS(SAME(base[i]));
                a_quotient[i] = FROM_BITS(SAME(base[row + i]));
            }
            gather((Ints *)x, (const u64 *const *)rows, row);
            multiply_by(&f, x, a, a_quotient, 0);
            scatter(rows, (Ints *)x, row);
        }
        memcpy(running, one, (size_t)length * sizeof(Digits));
        memcpy(product, one, (size_t)length * sizeof(Digits));
        for (long bucket = (1 << window) - 1; bucket > 0; bucket--) {
            for (int k = 0; k < N; k++) rows[k] = first + (((long)k << window) + bucket) * row;
            gather((Ints *)x, (const u64 *const *)rows, row);
            multiply(&f, running, running, x);
            multiply(&f, product, product, running);
        }
        multiply(&f, product, product, unit);
        settle(&f, product, 1);
        write(&f, out + task * out_size, out_size, out_size, product, length, left(repetitions * windows, task));
    }
}

API void hecli_buckets(uint8_t *out, long out_size, const uint8_t *in, long count, long size, long parts,
                       const Modulus *m, const u64 *scales, const uint8_t *exponents, long repetitions, long width,
                       long bits, long window, uint8_t *memory)
{
    ROUNDED(buckets(out, out_size, in, count, size, parts, m, scales, exponents, repetitions, width, bits, window,
                    memory));
}

/* The table of fixed bases: for each base x and each signed digit d of `window` bits, in two's complement,
 * x^d = a * (1 + z * m) as three rows, a, its quotient, and z.
 *
 * `bases` has six rows of each base: a, a' and z of x, then of its inverse. `unit` has the rows of x^0. */
API long hecli_table_scratch(long length)
{
    return (frame_scratch(length) + 14 * row_of(length) + 1) * (long)sizeof(Ints);
}

API long hecli_entry(long length) { return 3 * row_of(length); }

/* To the next power of one base: (a, z) times (a1, z1), where `other` is 1 / a already, and its a' and scaled a. */
static void advance(Frame *f, Digits *z, const Digits *z1, const Digits *carried, const Digits *scaled)
{
    long length = f->length;
    /* a * a1 = a'' + carried * m, which puts carried / a'' into z */
    multiply(f, f->digits, carried, scaled);
    for (long i = 0; i < length; i++) f->more[i] = ADD(ADD(INTS(z[i]), INTS(z1[i])), INTS(f->digits[i]));
    carry(z, f->more, length, SAME(0));
    settle(f, z, 2);
}

/* a = a * a1 modulo m, exactly, and the quotient exactly too. */
static void multiply_exactly(Frame *f, Digits *a, const Digits *a1, const Digits *a1_quotient, Digits *quotient)
{
    long length = f->length;
    multiply_by(f, a, a1, a1_quotient, 0);
    Ints two = subtract(f, a, f->multiples + 2 * length, length);
    Ints one = subtract(f, a, f->multiples + 3 * length, length);
    for (long i = 0; i < length; i++) f->more[i] = INTS(f->quotient[i]);
    carry(quotient, f->more, length, ADD(ADD(two, two), one));
}

/* Row i of the entry of a digit, in the tables of N bases. */
static void store(u64 *table, const long number[N], long window, long digit, int i, const Digits *from, long row)
{
    u64 *rows[N];
    for (int k = 0; k < N; k++) rows[k] = table + (((number[k] << window) + digit) * 3 + i) * row;
    scatter(rows, (const Ints *)from, row);
}

static APART void fill_table(u64 *table, const u64 *bases, const u64 *unit, long count, long window,
                             const Modulus *m, uint8_t *memory)
{
    Scratch scratch = scratch_at(memory);
    Frame f = frame_of(m, &scratch);
    long length = f.length, row = row_of(length), half = 1L << (window - 1);
    Digits *of[2][3], *base[2][3], *carried = take_digits(&scratch, row), *scaled = take_digits(&scratch, row);
    for (int sign = 0; sign < 2; sign++)
        for (int i = 0; i < 3; i++) {
            of[sign][i] = take_digits(&scratch, row);
            base[sign][i] = take_digits(&scratch, row);
        }
    for (long at = 0; at < count; at += N) {
        long number[N];
        for (int k = 0; k < N; k++) number[k] = at + k < count ? at + k : at;
        for (int i = 0; i < 3; i++) {
            spread(carried, unit + i * row, row);
            store(table, number, window, 0, i, carried, row);
        }
        for (int sign = 0; sign < 2; sign++)
            for (int i = 0; i < 3; i++) {
                const u64 *from[N];
                for (int k = 0; k < N; k++) from[k] = bases + (number[k] * 6 + sign * 3 + i) * row;
                gather((Ints *)base[sign][i], from, row);
                for (long j = 0; j < row; j++) base[sign][i][j] = DIGITS(((Ints *)base[sign][i])[j]);
                memcpy(of[sign][i], base[sign][i], (size_t)row * sizeof(Digits));
            }
        for (long power = 1;; power++) {
            for (int sign = 0; sign < 2; sign++) {
                if (!sign && power == half) continue;
                long digit = sign ? (1L << window) - power : power;
                for (int i = 0; i < 3; i++) store(table, number, window, digit, i, of[sign][i], row);
            }
            if (power == half) break;
            Digits *first = f.quotient + length;
            multiply_exactly(&f, of[0][0], base[0][0], base[0][1], carried);
            memcpy(first, carried, (size_t)length * sizeof(Digits));
            multiply_exactly(&f, of[1][0], base[1][0], base[1][1], carried);
            quotient_of(&f, of[0][1], scaled, of[0][0]);
            advance(&f, of[1][2], base[1][2], carried, scaled);
            quotient_of(&f, of[1][1], scaled, of[1][0]);
            advance(&f, of[0][2], base[0][2], first, scaled);
        }
    }
}

API void hecli_fill_table(u64 *table, const u64 *bases, const u64 *unit, long count, long window,
                          const Modulus *m, uint8_t *memory)
{
    ROUNDED(fill_table(table, bases, unit, count, window, m, memory));
}

/* Ciphertexts (1 + message * n) * x^exponent modulo n^2, with a table of x^(2^(window * i)).
 *
 * The product of entries a * (1 + z * n) is A + B * n times 1 + (sum of z) * n: a step is
 *   q = upper half of A * a',  A = A * a - q * n,  below 3n
 *   r = upper half of B * a',  B = B * a + q - r * n,  below 6n
 * and with s = message + sum of z the ciphertext is A + (B + A * s modulo n) * n, below 9 n^2.
 * Exponents are little-endian, `width` bytes apart, with 3 bytes behind the last digit; `squares` has
 * 8 n^2, 4 n^2, 2 n^2 and n^2 in twice the digits of n. */
API long hecli_encrypt_scratch(long length)
{
    long row = row_of(length);
    return (frame_scratch(length) + 9 * row + 6 * length + 1) * (long)sizeof(Ints) + N * row * (long)sizeof(u64);
}

/* The table's entry for digit i of a little-endian exponent. */
INLINE const u64 *entry_of(const u64 *table, const uint8_t *exponent, long i, long window, long row)
{
    uint32_t bits;
    memcpy(&bits, exponent + i * window / 8, 4);
    return table + ((i << window) + (bits >> i * window % 8 & ((1u << window) - 1))) * 3 * row;
}

static APART void encrypt(uint8_t *out, long out_size, const uint8_t *messages, long size, const uint8_t *exponents,
                          long width, long count, const Modulus *m, const u64 *squares, const u64 *table,
                          long window, long windows, uint8_t *memory)
{
    Scratch scratch = scratch_at(memory);
    Frame f = frame_of(m, &scratch);
    long length = f.length, row = row_of(length);
    Digits *x = take_digits(&scratch, 2 * row), *a = take_digits(&scratch, row), *a_quotient = take_digits(&scratch, row);
    Digits *s = take_digits(&scratch, row), *t = take_digits(&scratch, row), *wide = take_digits(&scratch, 2 * length);
    Ints *ints = take(&scratch, 2 * length), *z = take(&scratch, row), *added = take(&scratch, row);
    const u64 *rows[N];
    for (long at = 0; at < count; at += N) {
        read_wide(s, ints, length, messages, size, at, count);
        for (long i = 0; i < length; i++) z[i] = ints[i];
        for (long i = 0; i < windows; i++) {
            for (int k = 0; k < N; k++) {
                const uint8_t *exponent = exponents + (at + k < count ? at + k : at) * width;
                rows[k] = entry_of(table, exponent, i, window, row);
                if (i + 1 < windows) {
                    const u64 *next = entry_of(table, exponent, i + 1, window, row);
                    for (long ahead = 0; ahead < 3 * row; ahead += 8) __builtin_prefetch(next + ahead, 0, 1);
                }
            }
            gather((Ints *)(i ? a : x), rows, row);
            for (int k = 0; k < N; k++) rows[k] += row;
            gather((Ints *)a_quotient, rows, row);
            for (int k = 0; k < N; k++) rows[k] += row;
            gather(added, rows, row);
            for (long j = 0; j < length; j++) z[j] = ADD(z[j], INTS(FROM_BITS(added[j])));
            if (i) {
                multiply_by(&f, x, a, a_quotient, 0);
                memcpy(t, f.quotient, (size_t)length * sizeof(Digits));
                multiply_by(&f, x + row, a, a_quotient, t);
            } else
                for (long j = 0; j < length; j++) x[row + j] = DIGITS(SAME(0));
        }
        carry(s, z, length, SAME(0));
        multiply(&f, s, s, f.square);
        multiply(&f, s, x, s);
        for (long i = 0; i < length; i++) f.more[i] = ADD(INTS(s[i]), INTS(x[row + i]));
        carry(s, f.more, length, SAME(0));
        for (long i = 0; i < length; i++) f.sums[i] = INTS(x[i]);
        clear(f.sums + length, length);
        add_product(f.sums, s, f.modulus, length);
        carry(wide, f.sums, 2 * length, SAME(0));
        for (int i = 0; i < 4; i++) subtract(&f, wide, squares + i * 2 * length, 2 * length);
        write(&f, out + at * out_size, out_size, out_size, wide, 2 * length, left(count, at));
    }
}

API void hecli_encrypt(uint8_t *out, long out_size, const uint8_t *messages, long size, const uint8_t *exponents,
                       long width, long count, const Modulus *m, const u64 *squares, const u64 *table, long window,
                       long windows, uint8_t *memory)
{
    ROUNDED(encrypt(out, out_size, messages, size, exponents, width, count, m, squares, table, window, windows,
                    memory));
}
