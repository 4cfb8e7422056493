/* One JPEG, whole and in memory -> rows of samples, through libjpeg-turbo.
 *
 * libjpeg's usual source of bytes in memory invents an end marker where the data end early, and the rest of the
 * picture becomes grey. This source has nothing more to give instead, so that such a picture is told from one that
 * merely lacks what stands behind its last row. */

#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>

enum outcome { DECODED = 0, ENDS_EARLY = 1, BROKEN = 2 };

/* More scans than any encoder writes. So many of a hundred million pixels take half a minute, thousands would take many. */
#define MAX_SCANS 500

struct errors {
    struct jpeg_error_mgr base; /* first: libjpeg hands out a pointer to it */
    jmp_buf caller;
    char *message;
};

static void fail(j_common_ptr jpeg) {
    struct errors *errors = (struct errors *)jpeg->err;
    (*jpeg->err->format_message)(jpeg, errors->message);
    longjmp(errors->caller, 1);
}

static void be_silent(j_common_ptr jpeg) { (void)jpeg; }

static void limit_scans(j_common_ptr jpeg) {
    if (((j_decompress_ptr)jpeg)->input_scan_number > MAX_SCANS) {
        struct errors *errors = (struct errors *)jpeg->err;
        strcpy(errors->message, "more scans than any encoder writes");
        longjmp(errors->caller, 1);
    }
}

static void do_nothing(j_decompress_ptr jpeg) { (void)jpeg; }

static boolean has_no_more(j_decompress_ptr jpeg) {
    (void)jpeg;
    return FALSE;
}

static void skip(j_decompress_ptr jpeg, long count) {
    struct jpeg_source_mgr *source = jpeg->src;
    size_t skipped = count <= 0 ? 0 : (size_t)count;
    if (skipped > source->bytes_in_buffer) skipped = source->bytes_in_buffer;
    source->next_input_byte += skipped;
    source->bytes_in_buffer -= skipped;
}

/* Fills `out` with rows of `components` samples a pixel, both sides being divided by `shrunk_by` (1, 2, 4 or 8) and
 * rounded up, if the size that libjpeg finds is width x height x components as well.
 * `message` has room for JMSG_LENGTH_MAX (200) bytes and is written where the outcome is BROKEN. */
int imagefleet_decode_jpeg(const unsigned char *bytes, size_t length, unsigned width, unsigned height, int components,
                           unsigned shrunk_by, unsigned char *out, char *message) {
    struct jpeg_decompress_struct jpeg;
    struct errors errors;
    struct jpeg_source_mgr source = {
        .next_input_byte = bytes,
        .bytes_in_buffer = length,
        .init_source = do_nothing,
        .fill_input_buffer = has_no_more,
        .skip_input_data = skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = do_nothing,
    };
    struct jpeg_progress_mgr progress = {.progress_monitor = limit_scans};
    const unsigned columns = (width + shrunk_by - 1) / shrunk_by, rows = (height + shrunk_by - 1) / shrunk_by;
    int status, outcome;

    memset(&jpeg, 0, sizeof jpeg); /* so that destroying it is safe wherever the error comes from */
    jpeg.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = fail;
    errors.base.output_message = be_silent;
    errors.message = message;
    if (setjmp(errors.caller)) {
        jpeg_destroy_decompress(&jpeg);
        /* Arithmetic decoding cannot wait for more bytes. */
        return errors.base.msg_code == JERR_CANT_SUSPEND ? ENDS_EARLY : BROKEN;
    }
    jpeg_create_decompress(&jpeg);
    jpeg.src = &source;
    jpeg.progress = &progress;

    outcome = ENDS_EARLY;
    do status = jpeg_read_header(&jpeg, FALSE);
    while (status == JPEG_HEADER_TABLES_ONLY);
    if (status == JPEG_SUSPENDED) goto done;
    if (jpeg.image_width != width || jpeg.image_height != height || jpeg.num_components != components) {
        strcpy(message, "the header gives two sizes");
        outcome = BROKEN;
        goto done;
    }
    jpeg.out_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg.scale_num = 1;
    jpeg.scale_denom = shrunk_by;
    if (!jpeg_start_decompress(&jpeg)) goto done;
    if (jpeg.output_width != columns || jpeg.output_height != rows) {
        strcpy(message, "it cannot be shrunk");
        outcome = BROKEN;
        goto done;
    }
    while (jpeg.output_scanline < rows) {
        JSAMPROW row = out + (size_t)jpeg.output_scanline * columns * components;
        if (jpeg_read_scanlines(&jpeg, &row, 1) != 1) goto done;
    }
    /* What is wrong behind the last row makes the picture broken, but it need not have an end. */
    (void)jpeg_finish_decompress(&jpeg);
    outcome = DECODED;
done:
    jpeg_destroy_decompress(&jpeg);
    return outcome;
}
