/* Sound: WAV by libsndfile. */
#include "picture.h"

#include "file.h"

#include <stdlib.h>
#include <string.h>
#ifdef WG_HAVE_SNDFILE
#include <sndfile.h>

/* A file in memory. */
typedef struct wav {
    const char *path;
    const unsigned char *bytes;
    sf_count_t size, at;
} wav;

/* ---- what libsndfile calls ---- */

static sf_count_t get_size(void *file) { return ((wav *)file)->size; }
static sf_count_t tell(void *file) { return ((wav *)file)->at; }
static sf_count_t write_none(const void *bytes, sf_count_t size, void *file) { return 0; }

static sf_count_t seek(sf_count_t offset, int whence, void *file)
{
    wav *w = file;
    const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? w->at : w->size;
    if (offset < -from || offset > w->size - from) return -1;
    return w->at = from + offset;
}

static sf_count_t read_bytes(void *to, sf_count_t size, void *file)
{
    wav *w = file;
    if (size > w->size - w->at) size = w->size - w->at;
    memcpy(to, w->bytes + w->at, (size_t)size);
    w->at += size;
    return size;
}

/* ---- reading ---- */

static wg_status wrong(const wav *w, wg_error *error, const char *reason)
{
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "%.120s", w->path, reason);
}

/* Only WAV reaches libsndfile, which knows thirty formats. The length in the header is 0 or all ones if the file was
 * written to a pipe. */
static wg_status check_header(const wav *w, wg_error *error)
{
    uint32_t length;
    if (w->size == 0) return wrong(w, error, "the file is empty");
    if (w->size < 12 || memcmp(w->bytes, "RIFF", 4) != 0 || memcmp(w->bytes + 8, "WAVE", 4) != 0)
        return wrong(w, error, "not a WAV file");
    memcpy(&length, w->bytes + 4, sizeof length);
    if (length != UINT32_MAX && length > w->size - 8)
        return wrong(w, error, "truncated: shorter than its header says");
    return WG_OK;
}

static bool is_plain(int format)
{
    static const int plain[] = {SF_FORMAT_PCM_U8, SF_FORMAT_PCM_16, SF_FORMAT_PCM_24, SF_FORMAT_PCM_32,
                                SF_FORMAT_FLOAT,  SF_FORMAT_DOUBLE, SF_FORMAT_ULAW,   SF_FORMAT_ALAW};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if ((format & SF_FORMAT_SUBMASK) == plain[i]) return true;
    return false;
}

/* Reads frames, channel by channel in each, into planes. */
static wg_status read_planes(const wav *w, SNDFILE *file, wg_sound *sound, wg_error *error)
{
    enum { PART = 1 << 16 }; /* samples; libsndfile has at most 1024 channels */
    const sf_count_t frames = PART / sound->channels;
    float *part = malloc(PART * sizeof *part);
    if (!part) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", w->path);
    int64_t done = 0;
    for (sf_count_t got; done < sound->frames && (got = sf_readf_float(file, part, frames)) > 0; done += got) {
        if (got > sound->frames - done) got = sound->frames - done;
        for (int64_t i = 0; i < got; i++)
            for (int64_t c = 0; c < sound->channels; c++)
                sound->samples[c * sound->frames + done + i] = part[i * sound->channels + c];
    }
    free(part);
    return done == sound->frames ? WG_OK : wrong(w, error, "truncated: shorter than its header says");
}

static wg_status read_sound(const wav *w, SNDFILE *file, const SF_INFO *info, uint64_t limit, wg_sound *sound,
                            wg_error *error)
{
    if (!is_plain(info->format)) return wrong(w, error, "a WAV file that is neither PCM nor of floats");
    /* A sample takes a byte of the file at least. */
    if (info->frames < 0 || info->channels < 1 || info->frames > w->size / info->channels)
        return wrong(w, error, "truncated: shorter than its header says");
    const uint64_t bytes = (uint64_t)info->frames * (uint64_t)info->channels * sizeof(float);
    if (bytes > limit)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "%llu bytes of samples, more than the limit of %llu",
                            w->path, (unsigned long long)bytes, (unsigned long long)limit);
    *sound = (wg_sound){info->channels, info->frames, info->samplerate, malloc((size_t)bytes + 1)};
    if (!sound->samples) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", w->path);
    return read_planes(w, file, sound, error);
}

static wg_status decode(wav *w, uint64_t limit, wg_sound *sound, wg_error *error)
{
    static const SF_VIRTUAL_IO calls = {get_size, seek, read_bytes, write_none, tell};
    wg_status status = check_header(w, error);
    if (status != WG_OK) return status;
    SF_INFO info = {0};
    SNDFILE *file = sf_open_virtual((SF_VIRTUAL_IO *)(uintptr_t)&calls, SFM_READ, &info, w);
    if (!file)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "damaged WAV file: %.120s", w->path, sf_strerror(NULL));
    status = read_sound(w, file, &info, limit, sound, error);
    sf_close(file);
    return status;
}
#endif

wg_status wg_sound_read(const char *path, uint64_t limit, wg_sound *sound, wg_error *error)
{
    if (!sound) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "sound is NULL", path ? path : "");
    *sound = (wg_sound){0};
    if (limit == 0) limit = 1u << 30;
#ifdef WG_HAVE_SNDFILE
    char *bytes;
    size_t size;
    wg_status status = wg__file_take(path, limit, &bytes, &size, error);
    if (status == WG_OK) {
        wav w = {path, (const unsigned char *)bytes, (sf_count_t)size, 0};
        status = decode(&w, limit, sound, error);
    }
    free(bytes);
    if (status != WG_OK) wg_sound_fini(sound);
    return status;
#else
    return wg_error_set(error, WG_ERR_IO, WG__AT "a sound, but this library was built without libsndfile",
                        path ? path : "");
#endif
}

void wg_sound_fini(wg_sound *sound)
{
    if (!sound) return;
    free(sound->samples);
    *sound = (wg_sound){0};
}
