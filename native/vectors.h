/* N numbers side by side, in digits of 52 bits, over four kinds of processor.
 *
 * An Ints holds one 64-bit integer for each number, a Digits one digit in the
 * form in which the processor multiplies it: an integer, or with fused
 * multiply-adds a double. What a kernel needs of the processor is here:
 *
 *   MAC(lo, hi, a, b)   adds the low 52 bits of a * b to lo, the high ones to hi
 *   BIAS(lo, hi)        what an Ints that takes so many of each must start with
 *   LOW(a, b)           the low 52 bits of a * b, and anything above them
 *
 * With IFMA (VARIANT_IFMA512) MAC is two instructions. With fused multiply-adds
 * (VARIANT_FMA256, VARIANT_FMA512) it takes two of them, rounding to zero:
 * 2^104 + a * b has the high half of the product in the low bits of its
 * mantissa, and 2^104 + 2^52 less that, plus a * b, the low half. Their bit
 * patterns are added as integers; what the exponents add up to is known, and is
 * taken off beforehand by BIAS. After N. Emmart, "Faster modular exponentiation
 * using double precision floating point arithmetic on the GPU" (ARITH 2018).
 */
#ifndef HECLI_VECTORS_H
#define HECLI_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t u64;

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { DIGIT_BITS = 52 };
#define MASK ((UINT64_C(1) << DIGIT_BITS) - 1)

#if defined(VARIANT_IFMA512) || defined(VARIANT_FMA512) || defined(VARIANT_FMA256)
#include <immintrin.h>
#endif

/* --- integers side by side, and the transposition of N rows of N --- */

#if defined(VARIANT_IFMA512) || defined(VARIANT_FMA512)

enum { N = 8, ROWS = 5 };
typedef __m512i Ints;

INLINE Ints SAME(u64 x) { return _mm512_set1_epi64((long long)x); }
INLINE Ints ADD(Ints a, Ints b) { return _mm512_add_epi64(a, b); }
INLINE Ints SUB(Ints a, Ints b) { return _mm512_sub_epi64(a, b); }
INLINE Ints AND(Ints a, Ints b) { return _mm512_and_si512(a, b); }
INLINE Ints OR(Ints a, Ints b) { return _mm512_or_si512(a, b); }
INLINE Ints XOR(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
INLINE Ints CARRY(Ints a) { return _mm512_srli_epi64(a, DIGIT_BITS); }

INLINE void transpose(Ints x[8])
{
    Ints a[8], b[8];
    UNROLL for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
    }
    UNROLL for (int i = 0; i < 2; i++) UNROLL for (int half = 0; half < 8; half += 4) {
        b[half + i] = _mm512_shuffle_i64x2(a[half + i], a[half + i + 2], 0x88);
        b[half + i + 2] = _mm512_shuffle_i64x2(a[half + i], a[half + i + 2], 0xdd);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        x[i] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0x88);
        x[i + 4] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0xdd);
    }
}

#elif defined(VARIANT_FMA256)

enum { N = 4, ROWS = 3 };
typedef __m256i Ints;

INLINE Ints SAME(u64 x) { return _mm256_set1_epi64x((long long)x); }
INLINE Ints ADD(Ints a, Ints b) { return _mm256_add_epi64(a, b); }
INLINE Ints SUB(Ints a, Ints b) { return _mm256_sub_epi64(a, b); }
INLINE Ints AND(Ints a, Ints b) { return _mm256_and_si256(a, b); }
INLINE Ints OR(Ints a, Ints b) { return _mm256_or_si256(a, b); }
INLINE Ints XOR(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
INLINE Ints CARRY(Ints a) { return _mm256_srli_epi64(a, DIGIT_BITS); }

INLINE void transpose(Ints x[4])
{
    Ints a = _mm256_unpacklo_epi64(x[0], x[1]), b = _mm256_unpackhi_epi64(x[0], x[1]);
    Ints c = _mm256_unpacklo_epi64(x[2], x[3]), d = _mm256_unpackhi_epi64(x[2], x[3]);
    x[0] = _mm256_permute2x128_si256(a, c, 0x20);
    x[1] = _mm256_permute2x128_si256(b, d, 0x20);
    x[2] = _mm256_permute2x128_si256(a, c, 0x31);
    x[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

#else /* plain C, for tests and sanitizers */

enum { N = 4, ROWS = 3 };
typedef struct { u64 of[N]; } Ints;
#define EACH(expression) do { UNROLL for (int k = 0; k < N; k++) { expression; } } while (0)

INLINE Ints SAME(u64 x) { Ints r; EACH(r.of[k] = x); return r; }
INLINE Ints ADD(Ints a, Ints b) { EACH(a.of[k] += b.of[k]); return a; }
INLINE Ints SUB(Ints a, Ints b) { EACH(a.of[k] -= b.of[k]); return a; }
INLINE Ints AND(Ints a, Ints b) { EACH(a.of[k] &= b.of[k]); return a; }
INLINE Ints OR(Ints a, Ints b) { EACH(a.of[k] |= b.of[k]); return a; }
INLINE Ints XOR(Ints a, Ints b) { EACH(a.of[k] ^= b.of[k]); return a; }
INLINE Ints CARRY(Ints a) { EACH(a.of[k] >>= DIGIT_BITS); return a; }

INLINE void transpose(Ints x[N])
{
    Ints r[N];
    for (int i = 0; i < N; i++) EACH(r[i].of[k] = x[k].of[i]);
    memcpy(x, r, sizeof r);
}

#endif

/* --- digits, and their products --- */

#if defined(VARIANT_IFMA512)

typedef __m512i Digits;
INLINE Digits DIGITS(Ints x) { return x; }
INLINE Ints INTS(Digits x) { return x; }
INLINE Ints BITS(Digits x) { return x; }
INLINE Digits FROM_BITS(Ints x) { return x; }
#define BIAS(lo, hi) ((void)(lo), (void)(hi), SAME(0))
#define MAC(lo, hi, a, b) do { \
    lo = _mm512_madd52lo_epu64(lo, a, b); \
    hi = _mm512_madd52hi_epu64(hi, a, b); \
} while (0)
INLINE Ints LOW(Digits a, Digits b) { return _mm512_madd52lo_epu64(SAME(0), a, b); }

#elif defined(VARIANT_FMA512) || defined(VARIANT_FMA256)

/* The bit patterns of 2^52 and 2^104. */
#define LOW_BITS (UINT64_C(0x433) << DIGIT_BITS)
#define HIGH_BITS (UINT64_C(0x467) << DIGIT_BITS)
#define BIAS(lo, hi) SAME(0 - ((u64)(lo) * LOW_BITS + (u64)(hi) * HIGH_BITS))

#if defined(VARIANT_FMA512)
typedef __m512d Digits;
#define TO_ZERO (_MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)
#define DOUBLES _mm512_set1_pd
#define FUSED(a, b, c) _mm512_fmadd_round_pd(a, b, c, TO_ZERO)
#define LESS _mm512_sub_pd
#define PLUS _mm512_add_pd
INLINE Ints BITS(Digits x) { return _mm512_castpd_si512(x); }
INLINE Digits FROM_BITS(Ints x) { return _mm512_castsi512_pd(x); }
#else
typedef __m256d Digits;
#define DOUBLES _mm256_set1_pd
#define FUSED(a, b, c) _mm256_fmadd_pd(a, b, c) /* rounds to zero: see ROUNDED */
#define LESS _mm256_sub_pd
#define PLUS _mm256_add_pd
INLINE Ints BITS(Digits x) { return _mm256_castpd_si256(x); }
INLINE Digits FROM_BITS(Ints x) { return _mm256_castsi256_pd(x); }
#endif

INLINE Digits DIGITS(Ints x) { return LESS(FROM_BITS(OR(x, SAME(LOW_BITS))), DOUBLES(0x1p52)); }
INLINE Ints INTS(Digits x) { return AND(BITS(PLUS(x, DOUBLES(0x1p52))), SAME(MASK)); }
#define MAC(lo, hi, a, b) do { \
    Digits high_ = FUSED(a, b, DOUBLES(0x1p104)); \
    Digits low_ = FUSED(a, b, LESS(DOUBLES(0x1p104 + 0x1p52), high_)); \
    hi = ADD(hi, BITS(high_)); \
    lo = ADD(lo, BITS(low_)); \
} while (0)
INLINE Ints LOW(Digits a, Digits b)
{
    Digits high = FUSED(a, b, DOUBLES(0x1p104));
    return BITS(FUSED(a, b, LESS(DOUBLES(0x1p104 + 0x1p52), high)));
}

#else

typedef Ints Digits;
INLINE Digits DIGITS(Ints x) { return x; }
INLINE Ints INTS(Digits x) { return x; }
INLINE Ints BITS(Digits x) { return x; }
INLINE Digits FROM_BITS(Ints x) { return x; }
#define BIAS(lo, hi) ((void)(lo), (void)(hi), SAME(0))
#define MAC(lo, hi, a, b) EACH( \
    unsigned __int128 product_ = (unsigned __int128)(a).of[k] * (b).of[k]; \
    (lo).of[k] += (u64)product_ & MASK; \
    (hi).of[k] += (u64)(product_ >> DIGIT_BITS))
INLINE Ints LOW(Digits a, Digits b) { EACH(a.of[k] = (a.of[k] * b.of[k]) & MASK); return a; }

#endif

/* How the processor rounds is a state of the thread: a call sets it, and puts it
 * back. The work is a function of its own, which no compiler moves out between. */
#define APART __attribute__((noinline))
#if defined(VARIANT_FMA256)
#define ROUNDED(call) do { \
    unsigned before_ = _mm_getcsr(); \
    _mm_setcsr(before_ | _MM_ROUND_TOWARD_ZERO); \
    call; \
    _mm_setcsr(before_); \
} while (0)
#else
#define ROUNDED(call) call
#endif

#endif
