/* What tests of wg_onnx_write share: an input, and an error that is expected. */
#ifndef TEST_ONNX_REFUSAL_H
#define TEST_ONNX_REFUSAL_H

#include "test_io.h"

static inline wg_tape *eval_tape(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_set_training(tape, false);
    return tape;
}

/* f32 [batch, 4] */
static inline wg_tensor rows(wg_tape *tape, int64_t batch)
{
    static const float numbers[60] = {1, 2, 3};
    return wg_data(tape, WG_F32, WG_DIMS(batch, 4), numbers);
}

static inline void expect(wg_status status, const char *path, const wg_onnx_named *in, int n_in,
                          const wg_onnx_named *out, int n_out, const char *text)
{
    wg_error error = {0};
    const wg_status got = wg_onnx_write(path, in, n_in, out, n_out, &error);
    CHECK(got != WG_OK && got == error.status && (status == WG_OK || got == status));
    if (!strstr(error.text, text) || strchr(error.text, '\n')) FAIL("'%s', not '%s'", error.text, text);
}

#endif
