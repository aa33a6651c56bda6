/* The register tile of the product in vector extensions: up to TILE_ROWS rows of C by one or two vectors. It fits any
 * number of rows and reads A as it stands. Compiled per instruction set and type, with -ffp-contract=fast: a product
 * and a sum are one fused multiply-add here, where the machine has it. */
#include "gemm.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Rows in groups of three share a pointer, so that all of them fit in the address registers. */
enum { GROUP = 3, GROUPS = (TILE_ROWS + GROUP - 1) / GROUP };

INLINE void store(int rows, int vectors, int cols, vector sum[TILE_ROWS][2], bool add, real *c, int64_t c_rs,
                  int64_t c_cs)
{
    if (c_cs == 1 && cols == vectors * LANES) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                vector *to = (vector *)(c + i * c_rs + v * LANES);
                if (add)
                    *to += sum[i][v];
                else
                    *to = sum[i][v];
            }
        return;
    }
    real copy[TILE_ROWS][TILE_COLS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) memcpy(&copy[i][v * LANES], &sum[i][v], sizeof(vector));
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            real *to = c + i * c_rs + j * c_cs;
            *to = add ? *to + copy[i][j] : copy[i][j];
        }
}

INLINE void tile(int rows, int vectors, int cols, int64_t k, wg__side a, const real *b, int64_t b_k, bool add,
                 real *c, int64_t c_rs, int64_t c_cs)
{
    vector sum[TILE_ROWS][2];
    const real *row[GROUPS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = (vector){0};
#pragma GCC unroll 16
    for (int g = 0; g < GROUPS; g++) row[g] = a.data + (g * GROUP < rows ? g * GROUP : 0) * a.line;

    for (int64_t p = 0; p < k; p++) {
        vector b0 = *(const vector *)b, b1 = vectors == 2 ? *(const vector *)(b + LANES) : b0;
        b += b_k;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            real x = row[i / GROUP][i % GROUP * a.line];
            sum[i][0] += x * b0;
            if (vectors == 2) sum[i][1] += x * b1;
        }
#pragma GCC unroll 16
        for (int g = 0; g < GROUPS; g++) row[g] += a.k;
    }
    store(rows, vectors, cols, sum, add, c, c_rs, c_cs);
}

#define CASE(rows)                                                                                                 \
    case rows:                                                                                                     \
        if (cols > LANES)                                                                                          \
            tile(rows, 2, cols, k, a, b, b_k, add, c, c_rs, c_cs);                                                 \
        else                                                                                                       \
            tile(rows, 1, cols, k, a, b, b_k, add, c, c_rs, c_cs);                                                 \
        return;

void WG__K(tile)(int rows, int cols, int64_t k, wg__side a, const real *b, int64_t b_k, bool add, real *c,
                 int64_t c_rs, int64_t c_cs)
{
    switch (rows) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
#ifdef __AVX512F__
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
        CASE(14)
#endif
    }
}
