/* What libjpeg-turbo alone does with JPEG frames, each decoded once into the same memory. */
#include <stddef.h>
#include <stdio.h>
#include <jpeglib.h>

/* Decode `count` frames that lie one after another in `stored`, `lengths` bytes each, into `pixels`, room for the largest. */
void decode(const unsigned char *stored, const long *lengths, long count, unsigned char *pixels) {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    for (long i = 0; i < count; stored += lengths[i], i++) {
        jpeg_mem_src(&jpeg, stored, lengths[i]);
        jpeg_read_header(&jpeg, TRUE);
        jpeg.out_color_space = JCS_RGB;
        jpeg_start_decompress(&jpeg);
        while (jpeg.output_scanline < jpeg.output_height) {
            JSAMPROW row = pixels + (size_t)jpeg.output_scanline * jpeg.output_width * 3;
            jpeg_read_scanlines(&jpeg, &row, 1);
        }
        jpeg_finish_decompress(&jpeg);
    }
    jpeg_destroy_decompress(&jpeg);
}
