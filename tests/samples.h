/* Samples of every op: operands that show it at work, and operands that it must refuse.
 *
 * A row gives an op (by the name of its descriptor) or a public function, a generator of its samples and one of its
 * bad inputs. The same samples serve the gradient check, the comparison of f32 with f64, of plans and of threads,
 * failing allocations, and benchmarks. A sample is a function of (row, number): made twice, it is the same.
 *
 * A test of samples takes --only ROW, or --only ROW.NUMBER for a single one: "add", "add.3". */
#ifndef WG_TEST_SAMPLES_H
#define WG_TEST_SAMPLES_H

#include "check.h"
#include "wengert.h"

enum { SAMPLE_INPUTS = 8, SAMPLE_OPERANDS = 16 };

/* What to spoil in a sample whose row has no fault. */
typedef enum spoil {
    SPOIL_NOTHING,
    SPOIL_STALE, /* the handle is from before a reset */
    SPOIL_UNSET, /* the handle is WG_NONE */
    SPOIL_NIL,   /* the handle is nil */
    SPOIL_TAPE,  /* the handle belongs to another tape */
    SPOIL_DTYPE  /* the other float */
} spoil;

/* What an operand is if an earlier one of its shape has numbers in its range. */
typedef enum sharing {
    SHARE_NOTHING, /* a parameter of its own */
    SHARE_SAME,    /* the same tensor */
    SHARE_VIEW,    /* a view of it */
    SHARE_EQUAL,   /* another tensor with the same numbers */
    SHARE_DEPENDS, /* a function of it */
    SHARE_COUNT
} sharing;

typedef struct sampler {
    wg_tape *tape;
    wg_params *set;       /* differentiable operands are its parameters x0, x1, ... */
    wg_dtype dtype;       /* of operands: the set's; F32 if it is stored in bf16 */
    bool rounded;         /* differentiable operands are numbers of bf16; without gradients */
    uint64_t key;         /* of the sample's numbers */
    double low, high;     /* default range of differentiable operands */
    int n_inputs, n_data; /* made so far on this recording */
    wg_tensor input[SAMPLE_INPUTS];
    double from[SAMPLE_INPUTS], to[SAMPLE_INPUTS]; /* their ranges */
    sharing sharing;
    int n_shared;
    spoil spoil; /* of operand number spoil_at, data included */
    int spoil_at, n_operands;
    bool is_float[SAMPLE_OPERANDS];
    wg_tensor stale;    /* what stands in for the operand if spoil is STALE */
    wg_tape *other;     /* if it is TAPE: where a tensor of the same shape is made */
    wg_status expected; /* set by bad inputs: the status ... */
    const char *words;  /* ... and what its text holds: "matmul|[2, 3]|[4, 5]" */
} sampler;

enum {
    SAMPLE_SMOOTH = 1,     /* also checked to second order */
    SAMPLE_NO_SPOIL = 2,   /* operands are not spoiled: the generator asks for their sizes */
    SAMPLE_OTHER_NAME = 8, /* spoiled operands may be reported under another op's name */
    SAMPLE_TWO_SETS = 4    /* f32 and f64 may differ: random numbers */
};

typedef struct op_samples op_samples;
struct op_samples {
    const char *name; /* in messages; of the descriptor if there is one */
    unsigned flags;
    int n, n_bad;
    wg_tensor (*make)(sampler *s, const op_samples *row, int i);
    wg_tensor (*bad)(sampler *s, const op_samples *row, int i);
    int op;           /* pointwise rows: number in pointwise.def */
    double low, high; /* range of operands; both 0: -2 .. 2 */
    double tolerance; /* f32 against f64, relative to 1 + the largest number; 0: 1e-5 */
};

/* Row number index over all families; NULL past the end. */
const op_samples *samples_at(int index);

/* Records sample i of a row; again for the same set and sampler, on a reset tape, it is the same sample. */
wg_tensor sample_make(sampler *s, const op_samples *row, int i);
wg_tensor sample_bad(sampler *s, const op_samples *row, int i);

/* sum(out * fixed random weights): never a plain sum, whose gradient hides mistakes. */
wg_tensor sample_loss(sampler *s, wg_tensor out);

/* Records sample i and runs it backward, or only forward if no gradient flows to an operand. The operand `frozen` is
 * frozen before; -1: none. Returns the result. */
wg_tensor sample_run(sampler *s, const op_samples *row, int i, int frozen);

/* ---- for the tests ---- */

/* Whether --only admits sample i. */
bool sample_wanted(const op_samples *row, int i);

/* Counts a failure of sample i, which the message names as --only does. */
void sample_failed(const op_samples *row, int i, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Every sample that --only admits. */
#define FOR_EACH_SAMPLE(row, i)                                                                                    \
    for (int at_ = 0; ((row) = samples_at(at_)); at_++)                                                            \
        for (int i = 0; i < (row)->n; i++)                                                                         \
            if (sample_wanted(row, i))

/* ---- for the generators ---- */

/* A differentiable operand. spec: sizes and, after a blank, how it is seen: "2,3" dense; "2,3 t" the last two axes
 * transposed; "s" sliced from a longer last axis, "o" from a longer first axis; "p" every second of the last axis;
 * "f" flipped along the last axis; "e" expanded along the first axis; "b" with the first axis broadcast. "" is a
 * scalar. Numbers of one operand are distinct: no ties. */
wg_tensor x_in(sampler *s, const char *spec);
wg_tensor x_range(sampler *s, const char *spec, double low, double high);
/* The same of fixed data, through which no gradient is asked for. */
wg_tensor x_data(sampler *s, const char *spec, double low, double high);
wg_tensor x_bool(sampler *s, const char *spec);
/* Whole numbers from low to high - 1. */
wg_tensor x_i32(sampler *s, const char *spec, int low, int high);
/* Numbers given. */
wg_tensor x_list(sampler *s, wg_shape shape, const double *numbers);

wg_shape shape_of_spec(const char *spec);

/* In a bad generator: what is expected of the recording that follows. */
void expect(sampler *s, wg_status status, const char *words);

/* An op by the name of its descriptor; NULL if there is none. */
const wg_op *op_named(const char *name);

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Families: rows up to one with no name. */
extern const op_samples samples_pointwise[], samples_scalar[], samples_reduce[], samples_view[], samples_product[],
    samples_index[], samples_loss[], samples_make[], samples_composed[], samples_conv[], samples_more[],
    samples_scatter[];

#endif
