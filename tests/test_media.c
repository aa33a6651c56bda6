/* Pictures and sound (io/picture.h) against what Pillow and Python's wave read in the same files:
 * tests/media/make.py. */
#include "test_io.h"

#include <dirent.h>

static const char *media(const char *name)
{
    static char path[2][512];
    static int which;
    which = !which;
    snprintf(path[which], sizeof path[which], "%s/%s", MEDIA, name);
    return path[which];
}

#if defined WG_HAVE_PNG || defined WG_HAVE_JPEG || defined WG_HAVE_SNDFILE
/* Reads NAME.txt: three sizes, and the numbers of an array of the first two or three. */
static double *expected_numbers(const char *name, int n_sizes, long size[3])
{
    char file[64];
    snprintf(file, sizeof file, "%s.txt", name);
    FILE *in = fopen(media(file), "r");
    assert_non_null(in);
    assert_int_equal(fscanf(in, "%ld %ld %ld", &size[0], &size[1], &size[2]), 3);
    const long n = size[0] * size[1] * (n_sizes == 3 ? size[2] : 1);
    double *numbers = malloc((size_t)n * sizeof *numbers);
    for (long i = 0; i < n; i++) assert_int_equal(fscanf(in, "%lf", &numbers[i]), 1);
    fclose(in);
    return numbers;
}

#endif

/* ---- pictures ---- */

#if defined WG_HAVE_PNG || defined WG_HAVE_JPEG
/* largest: the largest difference to Pillow's pixels that may be. */
static void expect_picture(const char *file, const char *name, int channels, int largest)
{
    wg_error error = {0};
    wg_picture p;
    wg_picture_options options = wg_picture_defaults();
    long size[3];
    options.channels = channels;
    double *expected = expected_numbers(name, 3, size);
    if (wg_picture_read(media(file), options, &p, &error) != WG_OK) fail_msg("%s", error.text);
    assert_true(p.channels == size[0] && p.height == size[1] && p.width == size[2]);
    const int64_t n = p.channels * p.height * p.width;
    float *numbers = malloc((size_t)n * sizeof *numbers);
    wg_picture_floats(&p, numbers);
    for (int64_t i = 0; i < n; i++) {
        if (fabs(p.pixels[i] - expected[i]) > largest)
            fail_msg("%s: number %d is %d, not %g", file, (int)i, p.pixels[i], expected[i]);
        assert_true(numbers[i] == (float)p.pixels[i] / 255);
    }
    free(numbers);
    free(expected);
    wg_picture_fini(&p);
    assert_null(p.pixels);
}

#endif

#ifdef WG_HAVE_PNG
static void png(void)
{
    static const char *const names[] = {"rgb", "gray", "rgba", "palette", "bits", "ga", "interlaced", "sixteen"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.png", names[i]);
        expect_picture(file, names[i], 0, 0);
    }
    expect_picture("rgb.png", "rgb_gray", 1, 1);
    expect_picture("rgb.png", "rgb", 3, 0);
}

/* 35 pixels in a file of 75 bytes. */
static void gray_in_three_channels(void)
{
    wg_picture one, three;
    wg_error error = {0};
    wg_picture_options options = {.channels = 3, .limit = 104};
    assert_int_equal(wg_picture_read(media("bits.png"), wg_picture_defaults(), &one, NULL), WG_OK);
    assert_int_equal(wg_picture_read(media("bits.png"), options, &three, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "7 x 5 pixels take more than 104 bytes");
    options.limit = 105;
    assert_int_equal(wg_picture_read(media("bits.png"), options, &three, NULL), WG_OK);
    for (int c = 0; c < 3; c++) assert_memory_equal(three.pixels + 35 * c, one.pixels, 35);
    wg_picture_fini(&one);
    wg_picture_fini(&three);
}

static void put_number(unsigned char *to, uint32_t number)
{
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(number >> (24 - 8 * i));
}

/* A file of 200 bytes that states a size: refused before memory is taken. */
static void png_states_a_size(uint32_t width, uint32_t height, const char *reason)
{
    size_t size;
    unsigned char *bytes = (unsigned char *)get_file(media("rgb.png"), &size);
    put_number(bytes + 16, width);
    put_number(bytes + 20, height);
    put_number(bytes + 29, wg__crc32(0, bytes + 12, 17));
    put_file(in_folder("huge.png"), bytes, size);
    wg_picture p;
    wg_error error = {0};
    fault_begin(0, 0, false);
    assert_int_equal(wg_picture_read(in_folder("huge.png"), wg_picture_defaults(), &p, &error), WG_ERR_FORMAT);
    assert_true(fault.largest < 1 << 20);
    fault_end();
    ASSERT_HAS(error.text, reason);
    free(bytes);
}

static void png_of_a_huge_size(void)
{
    png_states_a_size(900000, 900000, "wg_picture_options.limit");
    png_states_a_size(8000, 8000, "truncated: 8000 x 8000 pixels are not in 107 bytes");
    png_states_a_size(0x7fffffff, 0x7fffffff, "damaged PNG file");
    png_states_a_size(0, 5, "damaged PNG file");
}

/* libpng's allocations are ours. */
static void png_allocations_fail(void)
{
    long k = 1;
    for (bool done = false; !done; k++) {
        wg_picture p;
        wg_error error = {0};
        fault_begin(0, k, false);
        const wg_status status = wg_picture_read(media("palette.png"), wg_picture_defaults(), &p, &error);
        done = fault.allocations < k;
        fault_end();
        assert_true(status == WG_OK ? done : status == WG_ERR_MEMORY);
        wg_picture_fini(&p);
    }
    assert_true(k > 8);
}
#endif

#ifdef WG_HAVE_JPEG
static void jpeg(void)
{
    static const char *const names[] = {"color", "grayscale", "progressive"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.jpg", names[i]);
        expect_picture(file, names[i], 0, 2);
    }
    wg_picture p;
    wg_error error = {0};
    assert_int_equal(wg_picture_read(media("cmyk.jpg"), wg_picture_defaults(), &p, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "cmyk.jpg: a JPEG file that is neither gray nor RGB");
}

/* The size stands behind the marker FF C0. */
static void jpeg_of_a_huge_size(void)
{
    size_t size, at = 0;
    unsigned char *bytes = (unsigned char *)get_file(media("color.jpg"), &size);
    while (bytes[at] != 0xff || bytes[at + 1] != 0xc0) at++;
    memcpy(bytes + at + 5, "\xff\0\xff\0", 4);
    for (int i = 0; i < 2; i++) {
        wg_picture p;
        wg_error error = {0};
        put_file(in_folder("huge.jpg"), bytes, size);
        fault_begin(0, 0, false);
        assert_int_equal(wg_picture_read(in_folder("huge.jpg"), wg_picture_defaults(), &p, &error), WG_ERR_FORMAT);
        assert_true(fault.largest < 1 << 20);
        fault_end();
        ASSERT_HAS(error.text, i == 0 ? "wg_picture_options.limit" : "truncated: 4095 x 4095");
        memcpy(bytes + at + 5, "\x0f\xff\x0f\xff", 4);
    }
    free(bytes);
}
/* A progressive file whose first scan stands there 200 times: each costs a pass over the picture. */
static void jpeg_of_many_scans(void)
{
    size_t size, scan = 0, next;
    char *bytes = get_file(media("progressive.jpg"), &size);
    while (memcmp(bytes + scan, "\xff\xda", 2) != 0) scan++;
    for (next = scan + 2; bytes[next] != '\xff' || bytes[next + 1] == 0;) next++;
    FILE *out = fopen(in_folder("scans.jpg"), "wb");
    fwrite(bytes, 1, scan, out);
    for (int i = 0; i < 200; i++) fwrite(bytes + scan, 1, next - scan, out);
    fwrite(bytes + next, 1, size - next, out);
    fclose(out);
    wg_picture p;
    wg_error error = {0};
    assert_int_equal(wg_picture_read(in_folder("scans.jpg"), wg_picture_defaults(), &p, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "more than 100 scans");
    free(bytes);
}
#endif

/* ---- sound ---- */

#ifdef WG_HAVE_SNDFILE
static void wav(void)
{
    static const char *const names[] = {"u8", "s16", "s24", "s32", "f32"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[64];
        wg_sound s;
        wg_error error = {0};
        long size[3];
        double *expected = expected_numbers(names[i], 2, size);
        snprintf(file, sizeof file, "%s.wav", names[i]);
        if (wg_sound_read(media(file), 0, &s, &error) != WG_OK) fail_msg("%s", error.text);
        assert_true(s.channels == size[0] && s.frames == size[1] && s.rate == size[2]);
        for (int64_t k = 0; k < s.channels * s.frames; k++)
            if (s.samples[k] != (float)expected[k])
                fail_msg("%s: sample %d: %g, not %g", file, (int)k, s.samples[k], expected[k]);
        free(expected);
        wg_sound_fini(&s);
    }
}

static void wav_states_a_size(void)
{
    size_t size;
    unsigned char *bytes = (unsigned char *)get_file(media("s16.wav"), &size);
    memset(bytes + 40, 0xff, 3); /* the data's length */
    put_file(in_folder("long.wav"), bytes, size);
    wg_sound s;
    wg_error error = {0};
    fault_begin(0, 0, false);
    const wg_status status = wg_sound_read(in_folder("long.wav"), 0, &s, &error);
    assert_true(fault.largest < 1 << 20);
    fault_end();
    assert_true(status == WG_ERR_FORMAT || s.frames == 20); /* libsndfile takes what is there */
    wg_sound_fini(&s);
    error = (wg_error){0};
    assert_int_equal(wg_sound_read(media("s16.wav"), 150, &s, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "160 bytes of samples, more than the limit of 150");
    assert_null(s.samples);
    free(bytes);
}
#endif

/* ---- what is refused ---- */

static wg_status read_any(const char *path, bool sound, wg_error *error)
{
    wg_picture p;
    wg_sound s;
    wg_status status;
    if (sound)
        status = wg_sound_read(path, 0, &s, error);
    else
        status = wg_picture_read(path, wg_picture_defaults(), &p, error);
    if (status != WG_OK) assert_true(sound ? !s.samples && !s.frames : !p.pixels && !p.height);
    if (sound)
        wg_sound_fini(&s);
    else
        wg_picture_fini(&p);
    return status;
}

/* Each file, cut after each of its bytes, is refused with one line. */
static void truncated(void)
{
    DIR *all = opendir(MEDIA);
    assert_non_null(all);
    for (struct dirent *e; (e = readdir(all));) {
        const char *end = strrchr(e->d_name, '.');
        const bool sound = end && strcmp(end, ".wav") == 0;
        if (!end || (!sound && strcmp(end, ".png") != 0 && strcmp(end, ".jpg") != 0)) continue;
        size_t size;
        char *bytes = get_file(media(e->d_name), &size);
        for (size_t n = 0; n < size; n += n < 60 ? 1 : 7) {
            wg_error error = {0};
            put_file(in_folder("cut"), bytes, n);
            const wg_status status = read_any(in_folder("cut"), sound, &error);
            if (status != WG_ERR_FORMAT && status != WG_ERR_IO)
                fail_msg("%s, %zu bytes: %s", e->d_name, n, error.text);
            assert_true(error.text[0] && !strchr(error.text, '\n'));
        }
        free(bytes);
    }
    closedir(all);
}

static void refused(void)
{
    for (int sound = 0; sound < 2; sound++) {
        wg_error error = {0};
        assert_int_equal(read_any(in_folder("none"), sound, &error), WG_ERR_IO);
        put_file(in_folder("bad"), "GIF89a, say", 11);
        error = (wg_error){0};
        const wg_status status = read_any(in_folder("bad"), sound, &error);
        assert_true(status == WG_ERR_FORMAT || status == WG_ERR_IO);
        error = (wg_error){0};
        assert_int_equal(read_any(folder, sound, &error), WG_ERR_IO);
    }
    wg_picture p;
    wg_error error = {0};
    assert_int_equal(wg_picture_read(in_folder("bad"), (wg_picture_options){.channels = 2}, &p, &error),
                     WG_ERR_ARGUMENT);
    assert_int_equal(wg_picture_read(in_folder("bad"), (wg_picture_options){.limit = 4}, &p, NULL), WG_ERR_FORMAT);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
#ifdef WG_HAVE_PNG
        TEST_CASE(png),
        TEST_CASE(gray_in_three_channels),
        TEST_CASE(png_of_a_huge_size),
        TEST_CASE(png_allocations_fail),
#endif
#ifdef WG_HAVE_JPEG
        TEST_CASE(jpeg),
        TEST_CASE(jpeg_of_a_huge_size),
        TEST_CASE(jpeg_of_many_scans),
#endif
#ifdef WG_HAVE_SNDFILE
        TEST_CASE(wav),
        TEST_CASE(wav_states_a_size),
#endif
        TEST_CASE(truncated),
        TEST_CASE(refused)};
    make_folder();
    const int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
