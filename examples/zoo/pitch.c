/* The notes of a sound: basic-pitch, a ConvNet behind a constant-Q transform.
 *
 *     pitch music.wav
 *     pitch --tune
 *
 * --tune trains it on an instrument that it hears badly: short, quiet tones with partials of their own, as of bars of
 * metal, in noise. */
#include "zoo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE = 22050,
    HOP = 256,
    WINDOW = 43844, /* samples: about two seconds */
    FRAMES = 172,   /* of a window, HOP samples each */
    EDGE = 15,      /* frames at either end of a window that the next to it shows better */
    STEP = (FRAMES - 2 * EDGE) * HOP,
    KEYS = 88, /* of a piano, from A0 */
    TRAIN = 24,
    TEST = 8,
    SAMPLES = TRAIN + TEST
};

static wg_entry input_of(int64_t n, const float *x)
{
    return (wg_entry){.dtype = WG_F32, .shape = WG_DIMS(n, WINDOW, 1), .data = x};
}

/* ---- notes ---- */

/* Probabilities [frames, KEYS] that a key sounds, and that it was just struck. */
typedef struct activity {
    float *sounds, *struck;
    int64_t frames;
} activity;

static void run_window(const zoo *z, const float *x, activity *a, int64_t first)
{
    wg_tensor y[2]; /* struck, sounds */
    const wg_entry in = input_of(1, x);
    zoo_run(z, &in, y, 2);
    const wg_shape shape = WG_DIMS(1, FRAMES, KEYS);
    const float *struck = zoo_floats(z, y[0], shape), *sounds = zoo_floats(z, y[1], shape);
    for (int64_t t = EDGE; t < FRAMES - EDGE && first + t < a->frames; t++) {
        if (first + t < 0) continue;
        memcpy(a->struck + (first + t) * KEYS, struck + t * KEYS, KEYS * sizeof *struck);
        memcpy(a->sounds + (first + t) * KEYS, sounds + t * KEYS, KEYS * sizeof *sounds);
    }
    app_end_step(z->tape);
}

static activity listen(const zoo *z, const float *sound, int64_t n)
{
    activity a = {.frames = n / HOP + 1};
    float *x = app_room(WINDOW, sizeof *x);
    a.sounds = app_room(a.frames * KEYS, sizeof *a.sounds);
    a.struck = app_room(a.frames * KEYS, sizeof *a.struck);
    for (int64_t at = -EDGE * HOP; at < n - EDGE * HOP; at += STEP) {
        for (int64_t i = 0; i < WINDOW; i++) x[i] = at + i >= 0 && at + i < n ? sound[at + i] : 0;
        run_window(z, x, &a, at / HOP);
    }
    free(x);
    return a;
}

static void print_note(int64_t begin, int64_t end, int key)
{
    static const char *const names[] = {"A", "A#", "B", "C", "C#", "D", "D#", "E", "F", "F#", "G", "G#"};
    const double frame = (double)HOP / RATE;
    printf("%8.2f s  %5.2f s  %s%d\n", (double)begin * frame, (double)(end - begin) * frame, names[key % 12],
           (key + 9) / 12);
}

/* A note begins where a key is most probably struck, and ends where it no longer sounds. Returns how many there are. */
static int64_t print_notes(const activity *a)
{
    int64_t count = 0, until[KEYS] = {0};
    for (int64_t t = 1; t + 1 < a->frames; t++)
        for (int key = 0; key < KEYS; key++) {
            const float *struck = a->struck + t * KEYS + key;
            if (*struck < 0.5F || *struck < struck[-KEYS] || *struck < struck[KEYS] || t < until[key]) continue;
            int64_t end = t + 1;
            while (end < a->frames && a->sounds[end * KEYS + key] >= 0.3F) end++;
            until[key] = end;
            if (end - t < 5) continue;
            print_note(t, end, key);
            count++;
        }
    return count;
}

/* ---- tuning ---- */

static float sounds[SAMPLES][WINDOW], labels[SAMPLES][FRAMES][KEYS];

/* A bar of metal: the fundamental and partials at 2.76 and 5.4 times its frequency, dying away. */
static void strike(float *sound, float (*label)[KEYS], int key, int64_t first, int64_t last, double loud)
{
    static const double partial[] = {1, 2.76, 5.4}, part[] = {0.5, 0.35, 0.15};
    const double hertz = 27.5 * pow(2, key / 12.0);
    for (int64_t i = first * HOP; i < last * HOP && i < WINDOW; i++) {
        const double time = (double)(i - first * HOP) / RATE;
        for (int p = 0; p < 3; p++)
            sound[i] += (float)(loud * part[p] * exp(-1.5 * time) * sin(2 * M_PI * hertz * partial[p] * time));
    }
    for (int64_t t = first; t < last && t < FRAMES; t++) label[t][key] = 1;
}

static void make_up(float *sound, float (*label)[KEYS], uint64_t *random)
{
    for (int i = 0; i < WINDOW; i++) sound[i] = (float)app_draw_real(random, -0.02, 0.02);
    for (int note = 0; note < 8; note++) {
        const int64_t first = app_draw(random, FRAMES - 20), last = first + 15 + app_draw(random, 60);
        strike(sound, label, 27 + (int)app_draw(random, 36), first, last, app_draw_real(random, 0.03, 0.1));
    }
}

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    wg_tensor y[2];
    const wg_tensor x = wg_fit_rows(batch, WG_F32, WG_DIMS(WINDOW, 1), sounds);
    zoo_record(context, batch->tape, &x, y, 2);
    return wg_binary_cross_entropy_probabilities(y[1], wg_fit_rows(batch, WG_F32, WG_DIMS(FRAMES, KEYS), labels),
                                                 WG_MEAN);
}

/* F1 of the keys that sound, frame by frame, in the test windows; 0 to 100. */
static double f1(const zoo *z, double *loss)
{
    wg_tensor y[3];
    const wg_entry in = input_of(TEST, sounds[TRAIN]);
    const wg_tensor truth = wg_data(z->tape, WG_F32, WG_DIMS(TEST, FRAMES, KEYS), labels[TRAIN]);
    int64_t hits = 0, found = 0, all = 0;
    zoo_apply(z, z->tape, &in, y, 2);
    y[2] = wg_binary_cross_entropy_probabilities(y[1], truth, WG_MEAN);
    zoo_eval(z, y, 3);
    const float *p = zoo_floats(z, y[1], WG_DIMS(TEST, FRAMES, KEYS));
    for (int64_t i = 0; i < (int64_t)TEST * FRAMES * KEYS; i++) {
        const bool is = labels[TRAIN + i / (FRAMES * KEYS)][i / KEYS % FRAMES][i % KEYS] > 0;
        hits += p[i] >= 0.3F && is;
        found += p[i] >= 0.3F;
        all += is;
    }
    *loss = wg_item(y[2]);
    app_end_step(z->tape);
    return 200.0 * (double)hits / (double)(found + all);
}

/* The transform and the filter that halves the rate are initializers like weights; they stay. */
static void freeze_transform(const zoo *z)
{
    static const char *const fixed[] = {"cq_t2010", "const_fold_opt__734", "const_fold_opt__664",
                                        "const_fold_opt__655"};
    wg_params *params = wg_onnx_params(z->model);
    for (size_t i = 0; i < wg_params_count(params); i++)
        for (int k = 0; k < 4; k++)
            if (strstr(wg_params_name_at(params, i), fixed[k])) wg_param_freeze(wg_params_at(params, i), true);
}

static void tune(const zoo *z)
{
    uint64_t random = 1;
    double loss[2], score[2];
    for (int i = 0; i < SAMPLES; i++) make_up(sounds[i], labels[i], &random);
    freeze_transform(z);
    score[0] = f1(z, &loss[0]);
    zoo_tune(z, loss_of, (void *)z, TRAIN, 4, 1e-3);
    score[1] = f1(z, &loss[1]);
    app_result("loss before: %.4f, after: %.4f, F1 before: %.1f %%, after: %.1f %%", loss[0], loss[1], score[0],
               score[1]);
}

int main(int argc, char **argv)
{
    zoo z = {.steps = 30};
    app_list files = {0};
    app_option options[] = {{APP_LIST, "sound", &files, "FILE.wav", "music"},
                            ZOO_OPTIONS(&z, "train on an instrument of metal bars"),
                            {APP_END}};
    app_name("pitch");
    app_parse(argc, argv, "pitch [options] FILE.wav",
              "Lists the notes of a sound (begin, length, name), by basic-pitch.", options);
    if (files.n != 1 && !z.tune && !z.check) app_usage("give a WAV file, or --tune");
    zoo_open(&z, "nmp.onnx", 1, 2, false);
    if (z.check) {
        uint64_t random = 1;
        make_up(sounds[0], labels[0], &random);
        const wg_entry in = input_of(1, sounds[0]);
        zoo_check(&z, &in);
    } else if (z.tune)
        tune(&z);
    else {
        int64_t n;
        float *sound = zoo_sound(files.items[0], RATE, &n);
        activity a = listen(&z, sound, n);
        app_result("notes: %lld, sound: %.2f s", (long long)print_notes(&a), (double)n / RATE);
        free(a.sounds);
        free(a.struck);
        free(sound);
    }
    zoo_close(&z);
    free(files.items);
    return app_end();
}
