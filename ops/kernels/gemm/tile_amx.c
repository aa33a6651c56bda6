/* The register tile of AMX: up to 32 rows of C by 32 columns, in four of its eight tile registers of 16 rows of 64
 * bytes. tdpbf16ps multiplies 16 rows of 16 pairs with 16 steps of 16 pairs. Compiled for AMX. */
#include "pair.h"

enum { SIDE = 16, AHEAD = 1024 /* bytes of B that are prefetched */ };

/* All registers: 16 rows of 64 bytes. */
#define EIGHT(x) x, x, x, x, x, x, x, x
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} shapes = {.palette = 1, .row_bytes = {EIGHT(64)}, .rows = {EIGHT(SIDE)}};

void WG__K(start)(void) { _tile_loadconfig(&shapes); }
void WG__K(stop)(void) { _tile_release(); }

/* The sums of two tiles of rows, if rows_2, and of two of columns. */
INLINE void multiply(bool rows_2, bool cols_2, int64_t k, wg__reals a, const real *b, int64_t b_k)
{
    const size_t a_bytes = (size_t)a.k * sizeof(real), b_bytes = (size_t)b_k * sizeof(real);
    __asm__ volatile("" ::: "memory"); /* gcc's _tile_loadd does not say that it reads memory */
    _tile_zero(0);
    if (cols_2) _tile_zero(1);
    if (rows_2) _tile_zero(2);
    if (rows_2 && cols_2) _tile_zero(3);
    for (int64_t p = 0; p < k; p += GROUP_STEPS) {
        const real *group = a.data + p * a.k, *steps = b + p * b_k;
        add_products(rows_2, cols_2, group, group + SIDE, a_bytes, steps, steps + SIDE, b_bytes);
    }
}

INLINE void store_sums(bool rows_2, bool cols_2, real *to, int64_t stride)
{
    const size_t bytes = (size_t)stride * sizeof(real);
    _tile_stored(0, to, bytes);
    if (cols_2) _tile_stored(1, to + SIDE, bytes);
    if (rows_2) _tile_stored(2, to + SIDE * stride, bytes);
    if (rows_2 && cols_2) _tile_stored(3, to + SIDE * stride + SIDE, bytes);
}

static void copy_sums(int rows, int cols, real from[][TILE_COLS], bool add, real *c, int64_t c_rs, int64_t c_cs)
{
    const __mmask16 low = _cvtu32_mask16((1u << (cols < LANES ? cols : LANES)) - 1),
                    high = _cvtu32_mask16(cols > LANES ? (1u << (cols - LANES)) - 1 : 0);
    for (int i = 0; i < rows; i++) {
        real *to = c + i * c_rs;
        if (c_cs == 1) {
            const __m512 zero = _mm512_setzero_ps(), x = _mm512_load_ps(from[i]),
                         y = _mm512_load_ps(from[i] + LANES);
            const __m512 was_x = add ? _mm512_maskz_loadu_ps(low, to) : zero,
                         was_y = add ? _mm512_maskz_loadu_ps(high, to + LANES) : zero;
            _mm512_mask_storeu_ps(to, low, add ? _mm512_add_ps(was_x, x) : x);
            _mm512_mask_storeu_ps(to + LANES, high, add ? _mm512_add_ps(was_y, y) : y);
        } else {
            for (int j = 0; j < cols; j++) to[j * c_cs] = add ? to[j * c_cs] + from[i][j] : from[i][j];
        }
    }
}

INLINE void tile(bool rows_2, bool cols_2, int rows, int cols, int64_t k, wg__reals a, const real *b, int64_t b_k,
                 bool add, real *c, int64_t c_rs, int64_t c_cs)
{
    multiply(rows_2, cols_2, k, a, b, b_k);
    if (!add && c_cs == 1 && rows == TILE_ROWS && cols == TILE_COLS) {
        store_sums(true, true, c, c_rs);
        return;
    }
    real totals[TILE_ROWS][TILE_COLS] __attribute__((aligned(64)));
    store_sums(rows_2, cols_2, totals[0], TILE_COLS);
    copy_sums(rows, cols, totals, add, c, c_rs, c_cs);
}

/* One row, by vectors and to the same bits: it reads B as fast as memory gives it, which tile registers do not. */
static void row(int cols, int64_t k, wg__reals a, const real *b, int64_t b_k, bool add, real *c, int64_t c_rs,
                int64_t c_cs)
{
    real totals[1][TILE_COLS] __attribute__((aligned(64)));
    sums sum[2] = {{.total = {0}}, {.total = {0}}};
    for (int64_t p = 0; p < k; p += GROUP_STEPS) {
        const char *ahead = (const char *)(b + p * b_k) + AHEAD;
        for (int i = 0; i < 2 * GROUP_STEPS; i++) _mm_prefetch(ahead + i * 64, _MM_HINT_T0);
        UNROLL
        for (int i = 0; i < GROUP_STEPS; i++) {
            const vector x = ELEMENT(a.data[p * a.k + i]);
            UNROLL
            for (int v = 0; v < 2; v++) add_step(&sum[v], x, load(b + (p + i) * b_k + v * LANES));
        }
        for (int v = 0; v < 2; v++) end_group(&sum[v], true);
    }
    for (int v = 0; v < 2; v++) store(totals[0] + v * LANES, sum[v].total);
    copy_sums(1, cols, totals, add, c, c_rs, c_cs);
}

void WG__K(tile)(int rows, int cols, int64_t k, wg__reals a, const real *b, int64_t b_k, bool add, real *c,
                 int64_t c_rs, int64_t c_cs)
{
    if (rows == 1)
        row(cols, k, a, b, b_k, add, c, c_rs, c_cs);
    else if (rows > SIDE && cols > SIDE)
        tile(true, true, rows, cols, k, a, b, b_k, add, c, c_rs, c_cs);
    else if (rows > SIDE)
        tile(true, false, rows, cols, k, a, b, b_k, add, c, c_rs, c_cs);
    else if (cols > SIDE)
        tile(false, true, rows, cols, k, a, b, b_k, add, c, c_rs, c_cs);
    else
        tile(false, false, rows, cols, k, a, b, b_k, add, c, c_rs, c_cs);
}
