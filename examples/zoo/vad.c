/* Where somebody speaks in a sound: Silero VAD, an LSTM behind a short ConvNet, on windows of 32 ms.
 *
 *     vad speech.wav
 *     vad --tune
 *
 * --tune trains it for a voice that it has never heard (a synthetic one: vowels with a melody and a rhythm of
 * syllables) in loud noise, through 16 windows in time. */
#include "zoo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE = 16000,
    HOP = 512,
    CONTEXT = 64, /* samples of the window before, which the model also sees */
    WINDOW = CONTEXT + HOP,
    STATE = 128,
    T = 16, /* windows of a training sample */
    TRAIN = 256,
    TEST = 64,
    SAMPLES = TRAIN + TEST
};

/* ---- detection ---- */

typedef struct window {
    float x[WINDOW], state[2 * STATE];
} window;

/* The inputs of the model for n windows at once. */
static void inputs_of(wg_entry in[3], int64_t n, const float *x, const float *state)
{
    static const int32_t rate = RATE;
    in[0] = (wg_entry){.dtype = WG_F32, .shape = WG_DIMS(n, WINDOW), .data = x};
    in[1] = (wg_entry){.dtype = WG_F32, .shape = WG_DIMS(2, n, STATE), .data = state};
    in[2] = (wg_entry){.dtype = WG_I32, .shape = WG_SCALAR, .data = &rate};
}

/* The probability of speech in the next HOP samples. */
static float next(const zoo *z, window *w, const float *sound)
{
    wg_entry in[3];
    wg_tensor y[2];
    memmove(w->x, w->x + HOP, CONTEXT * sizeof *w->x);
    memcpy(w->x + CONTEXT, sound, HOP * sizeof *w->x);
    inputs_of(in, 1, w->x, w->state);
    zoo_run(z, in, y, 2);
    const float p = *zoo_floats(z, y[0], WG_DIMS(1, 1));
    memcpy(w->state, zoo_floats(z, y[1], WG_DIMS(2, 1, STATE)), sizeof w->state);
    app_end_step(z->tape);
    return p;
}

static void detect(const zoo *z, const char *path)
{
    int64_t frames;
    float *sound = zoo_sound(path, RATE, &frames);
    window w = {.x = {0}};
    double speech = 0;
    bool speaking = false;
    for (int64_t at = 0; at + HOP <= frames; at += HOP) {
        const float p = next(z, &w, sound + at);
        const bool now = p >= (speaking ? 0.35F : 0.5F); /* with hysteresis, as Silero's own code */
        if (now && !speaking) printf("%8.2f s", (double)at / RATE);
        if (!now && speaking) printf(" to %8.2f s: speech\n", (double)at / RATE);
        speech += now * (double)HOP / RATE;
        speaking = now;
    }
    if (speaking) printf(" to %8.2f s: speech\n", (double)frames / RATE);
    app_result("sound: %.2f s, speech: %.2f s", (double)frames / RATE, speech);
    free(sound);
}

/* ---- tuning ---- */

static float sounds[SAMPLES][CONTEXT + T * HOP];
static float labels[SAMPLES][T]; /* 1: somebody speaks */

/* Harmonics with two formants, and four syllables a second, over windows first .. last - 1; noise everywhere. */
static void make_up(float *sound, float *label, uint64_t *random)
{
    enum { HARMONICS = 20 };
    const int64_t first = app_draw(random, T / 2), last = first + T / 4 + app_draw(random, T / 2);
    const double pitch = app_draw_real(random, 90, 250), rise = app_draw_real(random, -20, 20),
                 loud = app_draw_real(random, 0.01, 0.03);
    const double formant[2] = {app_draw_real(random, 300, 800), app_draw_real(random, 1000, 2200)};
    double phase = app_draw_real(random, 0, 1), part[HARMONICS + 1];
    for (int h = 1; h <= HARMONICS; h++)
        part[h] =
            1 / (1 + pow((h * pitch - formant[0]) / 120, 2)) + 1 / (1 + pow((h * pitch - formant[1]) / 120, 2));
    for (int64_t i = 0; i < CONTEXT + T * HOP; i++) {
        const double time = (double)i / RATE, syllable = 0.5 - 0.5 * cos(2 * M_PI * 4 * time);
        const int64_t at = (i - CONTEXT) / HOP;
        double voice = 0;
        phase += (pitch + rise * sin(9 * time)) / RATE;
        for (int h = 1; h <= HARMONICS && at >= first && at < last; h++)
            voice += part[h] * sin(2 * M_PI * h * phase);
        sound[i] = (float)(loud * syllable * voice + app_draw_real(random, -0.06, 0.06));
    }
    for (int64_t t = 0; t < T; t++) label[t] = t >= first && t < last;
}

/* Probabilities [n, T] for those samples: T windows, one after the other. */
static wg_tensor listen(const zoo *z, wg_tape *tape, const int64_t *sample, int64_t n)
{
    float *x = app_room(n * WINDOW, sizeof *x);
    wg_tensor p[T], out[2], state = wg_zeros(tape, WG_F32, WG_DIMS(2, n, STATE));
    for (int t = 0; t < T; t++) {
        for (int64_t i = 0; i < n; i++)
            memcpy(x + i * WINDOW, sounds[sample[i]] + (size_t)t * HOP, WINDOW * sizeof *x);
        const wg_tensor in[3] = {wg_data(tape, WG_F32, WG_DIMS(n, WINDOW), x), state,
                                 wg_data(tape, WG_I32, WG_SCALAR, &(int32_t){RATE})};
        zoo_record(z, tape, in, out, 2);
        p[t] = out[0], state = out[1];
    }
    free(x);
    return wg_concat(p, T, 1);
}

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    const wg_tensor p = listen(context, batch->tape, batch->sample, batch->n);
    return wg_binary_cross_entropy_probabilities(p, wg_fit_rows(batch, WG_F32, WG_DIMS(T), labels), WG_MEAN);
}

/* How many windows of the test samples are labelled right. */
static double accuracy(const zoo *z, double *loss)
{
    int64_t test[TEST], right = 0;
    for (int i = 0; i < TEST; i++) test[i] = TRAIN + i;
    const wg_tensor p = listen(z, z->tape, test, TEST);
    const wg_tensor mean = wg_binary_cross_entropy_probabilities(
        p, wg_data(z->tape, WG_F32, WG_DIMS(TEST, T), labels[TRAIN]), WG_MEAN);
    zoo_eval(z, (wg_tensor[]){p, mean}, 2);
    const float *numbers = zoo_floats(z, p, WG_DIMS(TEST, T));
    for (int64_t i = 0; i < TEST; i++)
        for (int64_t t = 0; t < T; t++) right += (numbers[i * T + t] >= 0.5F) == (labels[TRAIN + i][t] >= 0.5F);
    *loss = wg_item(mean);
    app_end_step(z->tape);
    return 100.0 * (double)right / (TEST * T);
}

static void tune(zoo *z)
{
    uint64_t random = 1;
    double loss[2], right[2];
    for (int i = 0; i < SAMPLES; i++) make_up(sounds[i], labels[i], &random);
    wg_params *params = wg_onnx_params(z->model);
    for (size_t i = 0; i < wg_params_count(params); i++) /* the window of the Fourier transform is no weight */
        if (strstr(wg_params_name_at(params, i), "stft.")) wg_param_freeze(wg_params_at(params, i), true);
    right[0] = accuracy(z, &loss[0]);
    zoo_tune(z, loss_of, z, TRAIN, 16, 1e-3);
    right[1] = accuracy(z, &loss[1]);
    app_result("loss before: %.3f, after: %.3f, accuracy before: %.1f %%, after: %.1f %%", loss[0], loss[1],
               right[0], right[1]);
}

int main(int argc, char **argv)
{
    zoo z = {.steps = 60};
    app_list files = {0};
    app_option options[] = {{APP_LIST, "sound", &files, "FILE.wav", "where to look for speech"},
                            ZOO_OPTIONS(&z, "train on a synthetic voice in noise"),
                            {APP_END}};
    app_name("vad");
    app_parse(argc, argv, "vad [options] FILE.wav", "Says when somebody speaks, by Silero VAD.", options);
    if (files.n != 1 && !z.tune && !z.check) app_usage("give a WAV file, or --tune");
    zoo_open(&z, "silero_vad.onnx", 3, 2, true);
    if (z.check) {
        wg_entry in[3];
        window w = {.x = {0}};
        uint64_t random = 1;
        for (int i = 0; i < WINDOW; i++) w.x[i] = (float)app_draw_real(&random, -0.1, 0.1);
        inputs_of(in, 1, w.x, w.state);
        zoo_check(&z, in);
    } else if (z.tune)
        tune(&z);
    else
        detect(&z, files.items[0]);
    zoo_close(&z);
    free(files.items);
    return app_end();
}
