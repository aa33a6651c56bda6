/* The readers of untrusted files, each with its contract. */
#include "readers.h"

#include <ctype.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../examples/words.h"
#include "../io/io.h"
#include "check.h"
#include "wengert.h"

/* ---- safetensors ---- */

static const char *safetensors_check(const wg_safetensors *file, size_t size)
{
    size_t total = 0;
    unsigned sum = 0;
    for (size_t i = 0; i < wg_safetensors_count(file); i++) {
        wg_entry e = wg_safetensors_at(file, i), found;
        int64_t numel;
        if (!wg_shape_numel(&e.shape, &numel)) return "a tensor with an invalid shape";
        if (!wg_safetensors_find(file, e.name, &found) || found.data != e.data) return "a tensor that is not found";
        for (size_t k = 0; k < e.bytes; k++) sum += ((const unsigned char *)e.data)[k];
        total += e.bytes;
    }
    for (size_t i = 0; i < wg_safetensors_metadata_count(file); i++) {
        wg_pair p = wg_safetensors_metadata_at(file, i);
        if (wg_safetensors_metadata(file, p.key) != p.value) return "metadata that is not found";
        sum += (unsigned)strlen(p.value);
    }
    if (total > size || sum == 0xFFFFFFFF) return "more data than the file has";
    return NULL;
}

const char *refused(const wg_error *error)
{
    return error->status == WG_OK || !*error->text ? "refused without a reason" : NULL;
}

static const char *safetensors_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_parse(bytes, size, "fuzz", &error);
    const char *broken = file ? safetensors_check(file, size) : refused(&error);
    *accepted = file != NULL;
    wg_safetensors_close(file);
    return broken;
}

/* ---- NumPy, PyTorch, HDF5 and GGUF ---- */

/* Every element is there and converts, or there is a reason. */
static const char *elements_check(const wg_safetensors *file, size_t size)
{
    for (size_t i = 0; i < wg_safetensors_count(file); i++) {
        wg_error error = {0};
        const wg_entry e = wg_safetensors_at(file, i);
        wg_entry found;
        int64_t numel;
        if (!wg_shape_numel(&e.shape, &numel)) return "a tensor with an invalid shape";
        if (!wg_safetensors_find(file, e.name, &found) || found.data != e.data) return "a tensor that is not found";
        if (e.bytes > (64 << 20) + size) return "more data than the limit";
        double *numbers = malloc((size_t)numel * sizeof *numbers + 1);
        const wg_status status = numbers ? wg_entry_read(&e, WG_F64, numbers, &error) : WG_OK;
        free(numbers);
        if (status != WG_OK && refused(&error)) return "a tensor that is refused without a reason";
    }
    return NULL;
}

static const char *tensors_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_open(as_file(bytes, size), &error);
    const char *broken = file ? elements_check(file, size) : refused(&error);
    *accepted = file != NULL;
    wg_safetensors_close(file);
    return broken;
}

/* ---- checkpoints ---- */

/* Into a set with all that a checkpoint may hold. Anything but WG_OK leaves it as it was. */
static const char *checkpoint_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_parse(bytes, size, "fuzz", &error);
    *accepted = false;
    if (!file) return refused(&error);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *a = wg_param_new(set, "a", WG_DIMS(2, 3), wg_init_constant(7));
    wg_param_new(set, "b", WG_DIMS(3), wg_init_constant(7));
    wg_buffer_new(set, "n", WG_DIMS(1), wg_init_zeros());
    wg_checkpoint checkpoint = {
        .params = set, .optimizer = wg_adam_new(set, wg_adam_defaults()), .step = 5, .seed = 6};
    *accepted = wg_checkpoint_load(file, &checkpoint, NULL, NULL, &error) == WG_OK;
    const char *broken = NULL;
    if (!*accepted) broken = refused(&error);
    if (!*accepted && (checkpoint.step != 5 || checkpoint.seed != 6 || ((const float *)wg_param_value(a))[5] != 7))
        broken = "an error that changed something";
    wg_optimizer_free(checkpoint.optimizer);
    wg_params_free(set);
    wg_safetensors_close(file);
    return broken;
}

/* ---- files that are read by their path ---- */

const char *as_file(const unsigned char *bytes, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) fd = memfd_create("fuzz", 0);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size) return NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

static bool is_gzip(const unsigned char *bytes, size_t size)
{
    return size > 1 && bytes[0] == 31 && bytes[1] == 139;
}

/* ---- IDX ---- */

/* All numbers can be read. The last one is the last bytes of the file, reversed. */
static const char *idx_check(const wg_idx *idx, const unsigned char *bytes, size_t size)
{
    int64_t numel;
    if (!wg_shape_numel(&idx->shape, &numel)) return "an invalid shape";
    if (numel > 0 && idx->type < WG_IDX_F32 && isnan(wg_idx_at(idx, numel - 1))) return "no number";
    if (!isnan(wg_idx_at(idx, numel)) || !isnan(wg_idx_at(idx, -1))) return "a number past the end";
    if (is_gzip(bytes, size)) return NULL;
    const size_t width = idx->type == WG_IDX_F64   ? 8
                         : idx->type >= WG_IDX_I32 ? 4
                         : idx->type == WG_IDX_I16 ? 2
                                                   : 1;
    if (size != 4 + 4 * (size_t)idx->shape.rank + (size_t)numel * width) return "another size than the file's";
    if (numel == 0) return NULL;
    const unsigned char *last = (const unsigned char *)idx->data + ((size_t)numel - 1) * width;
    for (size_t k = 0; k < width; k++)
        if (last[k] != bytes[size - 1 - k]) return "another number than the file's";
    return NULL;
}

static const char *idx_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_error error = {0};
    wg_idx idx;
    *accepted = wg_idx_read(as_file(bytes, size), &idx, &error) == WG_OK;
    const char *broken = *accepted  ? idx_check(&idx, bytes, size)
                         : idx.data ? "refused with data"
                                    : refused(&error);
    wg_idx_fini(&idx);
    return broken;
}

/* ---- text ---- */

static const char *text_check(const wg_text *text, const unsigned char *bytes, size_t size)
{
    if (text->bytes[text->size] != 0 || strlen(text->bytes) != text->size) return "not ended by the only NUL";
    for (size_t i = 0; i < text->size; i++)
        if (iscntrl((unsigned char)text->bytes[i]) && !strchr("\t\n\f\r", text->bytes[i]))
            return "a control character";
    if (is_gzip(bytes, size)) return NULL;
    return text->size == size && memcmp(text->bytes, bytes, size) == 0 ? NULL : "not the file's bytes";
}

static const char *text_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_error error = {0};
    wg_text text;
    *accepted = wg_text_read(as_file(bytes, size), &text, &error) == WG_OK;
    const char *broken = *accepted    ? text_check(&text, bytes, size)
                         : text.bytes ? "refused with bytes"
                                      : refused(&error);
    wg_text_fini(&text);
    return broken;
}

/* ---- words ---- */

/* The first byte chooses the flags; the rest is a text, without NUL. The words of a dictionary are those of the
 * text, and come back from its own text. */
static const char *words_read_text(const unsigned char *bytes, size_t size, bool *accepted)
{
    const char *broken = NULL;
    *accepted = size > 0 && !memchr(bytes + 1, 0, size - 1);
    if (!*accepted) return NULL;
    words w = words_of((const char *)bytes + 1, size - 1, bytes[0] & 3);
    const words *texts[] = {&w};
    dictionary d = dictionary_of(texts, 1, 1, 0);
    for (size_t i = 0; i < w.total; i++)
        if (dictionary_find(&d, w.word[i]) < WORD_FIRST) broken = "a word that is not found";
    if (w.begin[w.lines] != w.total) broken = "lines without all words";
    char *text = dictionary_text(&d);
    dictionary again = dictionary_read(text, "fuzz");
    if (again.size != d.size) broken = "another dictionary";
    dictionary_fini(&again);
    free(text);
    dictionary_fini(&d);
    words_fini(&w);
    return broken;
}

const reader readers[READERS] = {{"safetensors", safetensors_read},
                                 {"checkpoint", checkpoint_read},
                                 {"idx", idx_read},
                                 {"text", text_read},
                                 {"words", words_read_text},
                                 {"csv", csv_read},
                                 {"png", png_read},
                                 {"jpeg", jpeg_read},
                                 {"wav", wav_read},
                                 {"npy", tensors_read},
                                 {"npz", tensors_read},
                                 {"pt", tensors_read},
                                 {"hdf5", tensors_read},
                                 {"gguf", tensors_read}};
