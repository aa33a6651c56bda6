/* The kernels of the rows of pointwise.def: a function of vectors for each row, in a loop for its kind. A remainder
 * shorter than a vector goes through the same function, so that the result for an element does not depend on its index.
 * y may alias an operand. */
#include "../../pointwise_rows.h"
#include "../base/kernel.h"
#include "../base/vector.h"

#if WG__T
#include "../base/special.h"
#endif

/* Selects the rows that exist for this element type. */
#define NOTHING(...)
#define THESE(...) __VA_ARGS__
#if WG__T
#define FLOAT   THESE
#define NUMERIC THESE
#define BOOLEAN NOTHING
#elif defined WG__I32
#define FLOAT   NOTHING
#define NUMERIC THESE
#define BOOLEAN NOTHING
#else
#define FLOAT   NOTHING
#define NUMERIC NOTHING
#define BOOLEAN THESE
#endif
#define ANY THESE

/* ---- the loops -------------------------------------------------------------------------------------------- */

VINLINE void loop1(int64_t n, real *y, const real *x, V (*f)(V))
{
    int64_t i = 0;
    for (; i + VLANES <= n; i += VLANES) v_store(y + i, f(v_load(x + i)));
    int rest = (int)(n - i);
    if (rest) v_store_part(y + i, f(v_load_part(x + i, rest)), rest);
}

VINLINE void loop2(int64_t n, real *y, const real *a, const real *b, V (*f)(V, V))
{
    int64_t i = 0;
    for (; i + VLANES <= n; i += VLANES) v_store(y + i, f(v_load(a + i), v_load(b + i)));
    int rest = (int)(n - i);
    if (rest) v_store_part(y + i, f(v_load_part(a + i, rest), v_load_part(b + i, rest)), rest);
}

VINLINE void loop3(int64_t n, real *y, const real *a, const real *b, const real *c, V (*f)(V, V, V))
{
    int64_t i = 0;
    for (; i + VLANES <= n; i += VLANES) v_store(y + i, f(v_load(a + i), v_load(b + i), v_load(c + i)));
    int rest = (int)(n - i);
    if (rest) {
        V va = v_load_part(a + i, rest), vb = v_load_part(b + i, rest), vc = v_load_part(c + i, rest);
        v_store_part(y + i, f(va, vb, vc), rest);
    }
}

VINLINE void loop_choose(int64_t n, real *y, const uint8_t *m, const real *a, const real *b, V (*f)(M, V, V))
{
    int64_t i = 0;
    for (; i + VLANES <= n; i += VLANES) v_store(y + i, f(m_load(m + i), v_load(a + i), v_load(b + i)));
    int rest = (int)(n - i);
    if (rest) {
        V va = v_load_part(a + i, rest), vb = v_load_part(b + i, rest);
        v_store_part(y + i, f(m_load_part(m + i, rest), va, vb), rest);
    }
}

/* The operands of tests and comparisons: numbers, or masks if elements are bools. */
#if WG__T || defined WG__I32
typedef V Q;
#define q_load      v_load
#define q_load_part v_load_part
#else
typedef M Q;
#define q_load      m_load
#define q_load_part m_load_part
#endif

VINLINE void loop_test(int64_t n, uint8_t *y, const real *x, M (*f)(Q))
{
    int64_t i = 0;
    for (; i + VLANES <= n; i += VLANES) m_store(y + i, f(q_load(x + i)));
    int rest = (int)(n - i);
    if (rest) m_store_part(y + i, f(q_load_part(x + i, rest)), rest);
}

VINLINE void loop_compare(int64_t n, uint8_t *y, const real *a, const real *b, M (*f)(Q, Q))
{
    int64_t i = 0;
    for (; i + VLANES <= n; i += VLANES) m_store(y + i, f(q_load(a + i), q_load(b + i)));
    int rest = (int)(n - i);
    if (rest) m_store_part(y + i, f(q_load_part(a + i, rest), q_load_part(b + i, rest)), rest);
}

/* ---- the rows --------------------------------------------------------------------------------------------- */

#define KERNEL_RUN(name, loop)                                                                                     \
    static void name##_run(int64_t n, void *y, const void *const *in) { loop; }
#define DEFINE_UNARY(name, kernel)                                                                                 \
    VINLINE V name##_of(V x) { return kernel; }                                                                    \
    KERNEL_RUN(name, loop1(n, y, in[0], name##_of))
#define DEFINE_BINARY(name, kernel)                                                                                \
    VINLINE V name##_of(V a, V b) { return kernel; }                                                               \
    KERNEL_RUN(name, loop2(n, y, in[0], in[1], name##_of))
#define DEFINE_TERNARY(name, kernel)                                                                               \
    VINLINE V name##_of(V a, V b, V c) { return kernel; }                                                          \
    KERNEL_RUN(name, loop3(n, y, in[0], in[1], in[2], name##_of))
#define DEFINE_TEST(name, kernel)                                                                                  \
    VINLINE M name##_of(Q x) { return kernel; }                                                                    \
    KERNEL_RUN(name, loop_test(n, y, in[0], name##_of))
#define DEFINE_COMPARE(name, kernel)                                                                               \
    VINLINE M name##_of(Q a, Q b) { return kernel; }                                                               \
    KERNEL_RUN(name, loop_compare(n, y, in[0], in[1], name##_of))
#define DEFINE_CHOOSE(name, kernel)                                                                                \
    VINLINE V name##_of(M m, V a, V b) { return kernel; }                                                          \
    KERNEL_RUN(name, loop_choose(n, y, in[0], in[1], in[2], name##_of))
#define DEFINE_FILL(name, kernel)                                                                                  \
    VINLINE V name##_of(M m, V a, V b) { return kernel; }                                                          \
    KERNEL_RUN(name, loop_choose(n, y, in[1], in[0], in[2], name##_of))

#define UNARY(scope, name, types, flags, kernel, ...)   types(DEFINE_UNARY(name, kernel))
#define BINARY(scope, name, types, flags, kernel, ...)  types(DEFINE_BINARY(name, kernel))
#define TERNARY(scope, name, types, flags, kernel, ...) types(DEFINE_TERNARY(name, kernel))
#define TEST(scope, name, types, kernel, ...)           types(DEFINE_TEST(name, kernel))
#define COMPARE(scope, name, types, kernel, ...)        types(DEFINE_COMPARE(name, kernel))
#define LOGIC1(scope, name, kernel, ...)                BOOLEAN(DEFINE_TEST(name, kernel))
#define LOGIC2(scope, name, kernel, ...)                BOOLEAN(DEFINE_COMPARE(name, kernel))
#define CHOOSE(scope, name, types, flags, kernel, ...)  types(DEFINE_CHOOSE(name, kernel))
#define FILL(scope, name, types, flags, kernel, ...)    types(DEFINE_FILL(name, kernel))
#include "../../pointwise.def"

/* The table of this variant, in the order of the rows; NULL where the type has no kernel. */
#define ENTRY(name)                      [ROW_##name] = name##_run,
#define UNARY(scope, name, types, ...)   types(ENTRY(name))
#define BINARY(scope, name, types, ...)  types(ENTRY(name))
#define TERNARY(scope, name, types, ...) types(ENTRY(name))
#define TEST(scope, name, types, ...)    types(ENTRY(name))
#define COMPARE(scope, name, types, ...) types(ENTRY(name))
#define LOGIC1(scope, name, ...)         BOOLEAN(ENTRY(name))
#define LOGIC2(scope, name, ...)         BOOLEAN(ENTRY(name))
#define CHOOSE(scope, name, types, ...)  types(ENTRY(name))
#define FILL(scope, name, types, ...)    types(ENTRY(name))
extern const wg_pointwise WG__K(pointwise)[ROWS];
const wg_pointwise WG__K(pointwise)[ROWS] = {
#include "../../pointwise.def"
};
