/* Our register tile, in vector extensions: up to TILE_ROWS rows of C by one or two vectors. It takes any number of
 * rows, and A packed or not. Compiled per variant. */
#include "tile.h"

#include <string.h>

/* Three rows share a pointer, so that the pointers fit the address registers. */
enum { GROUP = 3, GROUPS = (TILE_ROWS + GROUP - 1) / GROUP };

INLINE void store_tile(int rows, int vectors, int cols, vector sum[TILE_ROWS][2], bool add, real *c, int64_t c_rs,
                       int64_t c_cs)
{
    if (c_cs == 1 && cols == vectors * LANES) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            real *to = c + i * c_rs;
            store(to, add ? load(to) + sum[i][0] : sum[i][0]);
            if (vectors == 2) store(to + LANES, add ? load(to + LANES) + sum[i][1] : sum[i][1]);
        }
        return;
    }
    real copy[TILE_ROWS][TILE_COLS];
    UNROLL
    for (int i = 0; i < rows; i++) memcpy(copy[i], sum[i], sizeof(sum[i]));
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            real *to = c + i * c_rs + j * c_cs;
            *to = add ? *to + copy[i][j] : copy[i][j];
        }
}

INLINE void tile(int rows, int vectors, int cols, int64_t k, wg__reals a, const real *b, int64_t b_k, bool add,
                 real *c, int64_t c_rs, int64_t c_cs)
{
    vector sum[TILE_ROWS][2];
    const real *row[GROUPS];
    UNROLL
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = (vector){0};
    UNROLL
    for (int g = 0; g < GROUPS; g++) row[g] = a.data + (g * GROUP < rows ? g * GROUP : 0) * a.line;

    for (int64_t p = 0; p < k; p++) {
        vector b0 = load(b), b1 = vectors == 2 ? load(b + LANES) : b0;
        b += b_k;
        UNROLL
        for (int i = 0; i < rows; i++) {
            vector x = ELEMENT(row[i / GROUP][i % GROUP * a.line]);
            sum[i][0] = multiply_add(x, b0, sum[i][0]);
            if (vectors == 2) sum[i][1] = multiply_add(x, b1, sum[i][1]);
        }
        UNROLL
        for (int g = 0; g < GROUPS; g++) row[g] += a.k;
    }
    store_tile(rows, vectors, cols, sum, add, c, c_rs, c_cs);
}

/* One function for each number of rows and vectors, in which both are constants. */
#define FUNCTION(rows, vectors)                                                                                    \
    static void tile_##rows##_##vectors(int cols, int64_t k, wg__reals a, const real *b, int64_t b_k, bool add,    \
                                        real *c, int64_t c_rs, int64_t c_cs)                                       \
    {                                                                                                              \
        tile(rows, vectors, cols, k, a, b, b_k, add, c, c_rs, c_cs);                                               \
    }
#define BOTH(rows)  FUNCTION(rows, 1) FUNCTION(rows, 2)
#define ENTRY(rows) {tile_##rows##_1, tile_##rows##_2},

EACH_ROWS(BOTH)

typedef void (*tile_function)(int cols, int64_t k, wg__reals a, const real *b, int64_t b_k, bool add, real *c,
                              int64_t c_rs, int64_t c_cs);
static const tile_function functions[TILE_ROWS][2] = {EACH_ROWS(ENTRY)};

void WG__K(tile)(int rows, int cols, int64_t k, wg__reals a, const real *b, int64_t b_k, bool add, real *c,
                 int64_t c_rs, int64_t c_cs)
{
    functions[rows - 1][cols > LANES](cols, k, a, b, b_k, add, c, c_rs, c_cs);
}
