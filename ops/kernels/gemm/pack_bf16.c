/* Packs one side of a product in bf16 into panels of pairs: panel[p][width] holds numbers 2 p and 2 p + 1 of `width`
 * lines. Compiled per variant. Reads no memory but the numbers. */
#include "pair.h"
#include "transpose.h"

#include "../base/integers.h"

/* ---- by way of f32: any strides ------------------------------------------------------------------------------ */

enum { NUMBERS = 2 * PACK_STEPS, WIDTH_MOST = 64 };

#define F32_(name, isa) wg__##name##_f32_##isa
#define F32(name, isa)  F32_(name, isa)
void F32(pack_reals, WG__ISA)(real *panel, int width, int lines, int64_t readable, int64_t k, wg__reals from);
void F32(pack_window, WG__ISA)(real *panel, int width, int lines, int64_t k, wg__windowed from);

/* A few numbers of each line, packed by pack.c or window.c, in the first-level cache. */
typedef real rows[(NUMBERS + LANES) * WIDTH_MOST] __attribute__((aligned(64)));

static void pair_rows(real *panel, int width, int64_t k, const real *from)
{
    for (int64_t p = 0; p < k; p += 2)
        for (int l = 0; l < width; l += LANES) {
            const real *first = from + p * width + l;
            store(panel + p / 2 * width + l, paired(load(first), p + 1 < k ? load(first + width) : (vector){0}));
        }
}

static void pack_by_rows(real *panel, int width, int lines, int64_t readable, int64_t k, wg__reals from)
{
    rows some;
    for (int64_t p = 0; p < k; p += NUMBERS, panel += NUMBERS / 2 * width, from.data += NUMBERS * from.k) {
        F32(pack_reals, WG__ISA)(some, width, lines, readable, min64(NUMBERS, k - p), from);
        pair_rows(panel, width, min64(NUMBERS, k - p), some);
    }
}

void WG__K(pack_window)(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    rows some;
    for (int64_t p = 0; p < k; p += NUMBERS, panel += NUMBERS / 2 * width, from.step += NUMBERS) {
        F32(pack_window, WG__ISA)(some, width, lines, min64(NUMBERS, k - p), from);
        pair_rows(panel, width, min64(NUMBERS, k - p), some);
    }
}

/* ---- unit stride along k, or along the lines ------------------------------------------------------------------- */

/* LANES pairs of up to LANES lines. */
static inline __attribute__((always_inline)) void pack_block(real *panel, int width, int lines, wg__reals from)
{
    vector v[LANES];
    UNROLL
    for (int i = 0; i < LANES; i++) {
        const real *line = from.data + i * from.line;
        v[i] = i < lines ? pairs_along(load(line), load(line + LANES)) : (vector){0};
    }
    transpose(v);
    UNROLL
    for (int i = 0; i < LANES; i++) store(panel + i * width, v[i]);
}

static void pack_transposed(real *panel, int width, int lines, int64_t k, wg__reals from)
{
    int64_t p = 0;
    for (; p + 2 * LANES <= k; p += 2 * LANES)
        for (int l = 0; l < width; l += LANES) {
            const wg__reals block = {from.data + l * from.line + p, from.line, 1};
            if (lines - l >= LANES)
                pack_block(panel + p / 2 * width + l, width, LANES, block);
            else
                pack_block(panel + p / 2 * width + l, width, lines - l, block);
        }
    from.data += p;
    if (p < k) pack_by_rows(panel + p / 2 * width, width, lines, lines, k - p, from);
}

/* Prefetches as pack.c does. Inlined with a constant width: 6 % of a product of 512^3. */
static inline __attribute__((always_inline)) void pack_adjacent(real *panel, int width, int64_t k, wg__reals from)
{
    for (int64_t p = 0; p < k; p += 2)
        for (int l = 0; l < width; l += LANES) {
            const real *first = from.data + p * from.k + l;
            __builtin_prefetch(first + NUMBERS * from.k, 0, 2);
            __builtin_prefetch(first + (NUMBERS + 1) * from.k, 0, 2);
            store(panel + p / 2 * width + l, paired(load(first), p + 1 < k ? load(first + from.k) : (vector){0}));
        }
}

static void pack_f32(real *panel, int width, int lines, int64_t readable, int64_t k, wg__reals from)
{
    if (from.line == 1 && width == LANES && readable >= LANES)
        pack_adjacent(panel, LANES, k, from);
    else if (from.line == 1 && width == 2 * LANES && readable >= 2 * LANES)
        pack_adjacent(panel, 2 * LANES, k, from);
    else if (from.k == 1 && from.line != 1)
        pack_transposed(panel, width, lines, k, from);
    else
        pack_by_rows(panel, width, lines, readable, k, from);
}

/* ---- numbers that are bf16 already --------------------------------------------------------------------------- */

typedef uint32_t pairs __attribute__((vector_size(VECTOR_BYTES), aligned(2), may_alias));

static void pack_half_elements(real *panel, int width, int lines, int64_t k, wg__side from)
{
    for (int64_t p = 0; p < k; p += 2)
        for (int l = 0; l < width; l++) {
            const wg__item *first = from.data + l * from.line + p * from.k;
            const uint32_t low = l < lines ? *first : 0, high = l < lines && p + 1 < k ? first[from.k] : 0;
            ((pair_bits *)panel)[p / 2 * width + l] = low | high << 16;
        }
}

static void pack_half_adjacent(real *panel, int width, int64_t k, wg__side from)
{
    for (int64_t p = 0; p < k; p += 2)
        for (int l = 0; l < width; l += LANES) {
            const wg__item *first = from.data + p * from.k + l;
            const bits second = p + 1 < k ? load_halves(first + from.k) : (bits){0};
            __builtin_prefetch(first + NUMBERS * from.k, 0, 2);
            store(panel + p / 2 * width + l, (vector)(load_halves(first) | second << 16));
        }
}

static void pack_half_transposed(real *panel, int width, int lines, int64_t k, wg__side from)
{
    int64_t p = 0;
    for (; p + 2 * LANES <= k; p += 2 * LANES)
        for (int l = 0; l < width; l += LANES) {
            vector v[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++)
                v[i] =
                    l + i < lines ? (vector) * (const pairs *)(from.data + (l + i) * from.line + p) : (vector){0};
            transpose(v);
            UNROLL
            for (int i = 0; i < LANES; i++) store(panel + (p / 2 + i) * width + l, v[i]);
        }
    from.data += p;
    pack_half_elements(panel + p / 2 * width, width, lines, k - p, from);
}

void WG__K(pack_panel)(real *panel, int width, int lines, int64_t readable, int64_t k, wg__side from)
{
    if (!from.half)
        pack_f32(panel, width, lines, readable, k, reals_of(from));
    else if (from.line == 1 && readable >= width)
        pack_half_adjacent(panel, width, k, from);
    else if (from.k == 1 && from.line != 1)
        pack_half_transposed(panel, width, lines, k, from);
    else
        pack_half_elements(panel, width, lines, k, from);
}
