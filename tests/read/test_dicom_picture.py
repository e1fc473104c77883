"""DICOM pictures: pydicom's own decoding is the oracle where it can decode, closed forms where it can't."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.make_radiology import dicom
from wsi.errors import FormatError, ModalityError, SlideError, TooLargeError, UnreadableError
from wsi.read.codecs import frame, layout_of
from wsi.read.dicom_file import open_dicom
from wsi.read.field_info import FieldReading
from wsi.read.field_reader import read_field

RNG = np.random.default_rng(8)
DEEP = RNG.integers(0, 4096, (13, 17)).astype(np.uint16)
COLORS = RNG.integers(0, 256, (13, 17, 3), dtype=np.uint8)
SYNTAXES = (
    *(ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1),
    RLELossless,
)
LIMIT = 64 << 20


def read(path: Path) -> FieldReading:
    return read_field([path], limit=LIMIT)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("kind", ["u1", "u2", "i2"])
def test_every_lossless_coding_gives_back_measured_values(syntax: Any, kind: str, tmp_path: Path) -> None:
    if kind == "i2" and syntax in (JPEGLSLossless, JPEGLosslessSV1):
        px = DEEP.astype(np.int16)  # these codings have no sign: DICOM stores the bits
    else:
        px = (DEEP % 256).astype(kind) if kind == "u1" else DEEP.astype(kind) - (2000 if kind == "i2" else 0)
    path = dicom(tmp_path / "a.dcm", px, syntax=syntax, Modality="MR", RescaleSlope=2, RescaleIntercept=-5)
    assert np.array_equal(read(path).field.values[0], px.astype(float) * 2 - 5)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_every_lossless_coding_gives_back_colors(syntax: Any, tmp_path: Path) -> None:
    found = read(dicom(tmp_path / "a.dcm", COLORS, syntax=syntax, Modality="XC"))
    assert np.array_equal(found.field.values, COLORS.transpose(2, 0, 1))
    assert (found.field.channels, found.info.modality, found.info.bits) == (("R", "G", "B"), "XC", 8)


def test_negative_values_survive_codings_that_have_no_sign(tmp_path: Path) -> None:
    px = (DEEP.astype(np.int16) - 2048) & 0x0FFF  # twelve bits, the sign in the highest
    for syntax in (JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless):
        path = dicom(
            tmp_path / "a.dcm", px.astype(np.uint16), syntax=syntax, bits=12, PixelRepresentation=1, Modality="CT"
        )
        assert np.array_equal(read(path).field.values[0], DEEP.astype(int) - 2048)


def test_bits_that_are_not_stored_are_cut_off(tmp_path: Path) -> None:
    noisy = (DEEP | 0xA000).astype(np.uint16)
    path = dicom(tmp_path / "a.dcm", noisy, bits=12, Modality="CT")
    assert np.array_equal(read(path).field.values[0], DEEP)
    shifted = (DEEP << 4 | 0x7).astype(np.uint16)
    path = dicom(tmp_path / "b.dcm", shifted, bits=12, HighBit=15, Modality="CT")
    assert np.array_equal(read(path).field.values[0], DEEP)


def test_planes_one_after_another_are_put_together(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(COLORS.transpose(2, 0, 1))
    path = dicom(tmp_path / "a.dcm", COLORS, PlanarConfiguration=1, PixelData=planes.tobytes() + b"\0")
    assert np.array_equal(read(path).field.values, planes)


def test_big_endian_is_turned_over(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", DEEP, bits=12, Modality="MR", syntax=ExplicitVRBigEndian)
    assert np.array_equal(read(path).field.values[0], DEEP)


def window(values: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """Return the formula of PS3.3 C.11.2.1.2.1, px by px, for 0-255."""
    found = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    found[values <= center - 0.5 - (width - 1) / 2] = 0
    found[values > center - 0.5 + (width - 1) / 2] = 255
    return np.asarray(found)


def test_radiograph_is_shown_through_rescaling_and_its_first_window(tmp_path: Path) -> None:
    path = dicom(
        tmp_path / "a.dcm", DEEP, bits=12, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=[4000, 1], WindowWidth=[3000, 2],
        ImagerPixelSpacing=[0.2, 0.1],
    )  # fmt: skip
    found = read(path)
    assert np.allclose(found.field.values[0], window(DEEP * 2.0 - 100, 4000, 3000), atol=1e-3)
    assert found.info.findings == ("the first of 2 windows was taken",)
    assert (found.info.bits, found.info.spacing, found.field.channels) == (12, (0.2, 0.1), ("gray",))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_functions_are_pydicoms(function: str, tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", DEEP, bits=12, WindowCenter=1800, WindowWidth=900, VOILUTFunction=function)
    header = pydicom.dcmread(path)
    expected = apply_voi_lut(header.pixel_array, header) * (255 / 4095)
    assert np.allclose(read(path).field.values[0], expected, atol=1e-2)


def test_monochrome1_is_turned_over(tmp_path: Path) -> None:
    options: dict[str, Any] = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = read(dicom(tmp_path / "a.dcm", DEEP, **options))
    turned = read(dicom(tmp_path / "b.dcm", DEEP, PhotometricInterpretation="MONOCHROME1", **options))
    assert np.allclose(turned.field.values, 255 - plain.field.values)
    assert turned.info.findings == ("inverted: MONOCHROME1",)


def test_picture_without_a_window_runs_from_its_least_to_its_greatest_value(tmp_path: Path) -> None:
    found = read(dicom(tmp_path / "a.dcm", DEEP, bits=12))
    low, high = int(DEEP.min()), int(DEEP.max())
    assert np.allclose(found.field.values[0], (DEEP - low) * (255 / (high - low)), atol=1e-3)
    assert "no window is stored" in found.info.findings[0]


def test_eight_bits_without_a_window_are_shown_as_they_are(tmp_path: Path) -> None:
    px = RNG.integers(40, 90, (9, 9), dtype=np.uint8)
    assert np.array_equal(read(dicom(tmp_path / "a.dcm", px)).field.values[0], px)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_negative_slope_without_a_window_turns_a_picture_over_at_any_depth(
    deep: bool, kind: str, tmp_path: Path
) -> None:
    px = np.arange(256).reshape(16, 16).astype(np.uint16 if deep else np.uint8)
    options: dict[str, Any] = {"PhotometricInterpretation": kind, "RescaleSlope": -1, "RescaleIntercept": 255}
    found = read(dicom(tmp_path / "a.dcm", px, **options)).field.values[0]
    assert np.allclose(found, px if kind == "MONOCHROME1" else 255 - px.astype(float))


def test_hot_px_leave_the_rest_its_contrast_where_no_window_is_stored(tmp_path: Path) -> None:
    px = np.tile(np.arange(1000, 2000, dtype=np.uint16), (20, 1))
    px[7, 100] = 65535
    found = read(dicom(tmp_path / "a.dcm", px))
    low, high = np.percentile(px, [0.5, 99.5])
    assert np.allclose(found.field.values[0], np.clip((px - low) * (255 / (high - low)), 0, 255), atol=1e-3)
    assert "a few px lie far from all others" in found.info.findings[0]


def table(values: NDArray[Any], first: int, bits: int) -> Dataset:
    found = Dataset()
    found.LUTDescriptor = [len(values), first, bits]
    found.add_new("LUTData", "OW", values.astype("<u2").tobytes())
    return found


def test_tables_are_pydicoms(tmp_path: Path) -> None:
    curve = np.sort(RNG.integers(0, 65536, 3000)).astype(np.uint16)
    path = dicom(tmp_path / "a.dcm", DEEP, bits=12, VOILUTSequence=[table(curve, 500, 16)])
    header = pydicom.dcmread(path)
    assert np.allclose(read(path).field.values[0], apply_voi_lut(header.pixel_array, header) * (255 / 65535), atol=1e-3)
    path = dicom(tmp_path / "b.dcm", DEEP, bits=12, Modality="CT", ModalityLUTSequence=[table(curve, 500, 16)])
    header = pydicom.dcmread(path)
    assert np.array_equal(read(path).field.values[0], apply_modality_lut(header.pixel_array, header))


def test_padding_is_black_and_out_of_the_range(tmp_path: Path) -> None:
    px = np.array([[0, 100, 200], [0, 150, 200]], np.uint16)
    for kind, expected in (("MONOCHROME2", [0, 0, 255]), ("MONOCHROME1", [0, 255, 0])):
        path = dicom(tmp_path / "a.dcm", px, bits=12, PixelPaddingValue=0, PhotometricInterpretation=kind)
        assert read(path).field.values[0, 0].tolist() == expected


def test_ybr_is_turned_into_rgb_by_the_standards_matrix(tmp_path: Path) -> None:
    # PS3.3 C.7.6.3.1.2: red (255, 0, 0) is Y 76, Cb 85, Cr 255
    px = np.broadcast_to(np.array([76, 85, 255], np.uint8), (4, 6, 3)).copy()
    found = read(dicom(tmp_path / "a.dcm", px, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(found.field.values[:, 0, 0].astype(int) - [255, 0, 0]).max() <= 1
    halved = np.array([[76, 76, 85, 255]] * 12, np.uint8)
    path = dicom(tmp_path / "b.dcm", px, PhotometricInterpretation="YBR_FULL_422", PixelData=halved.tobytes())
    assert np.array_equal(read(path).field.values, found.field.values)


def test_number_that_was_written_as_a_text_is_not_its_first_digit(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", DEEP, Modality="MR")
    found = pydicom.dcmread(path)
    found.add_new("RescaleSlope", "LO", "25")
    found.save_as(path)
    assert np.array_equal(read(path).field.values[0], DEEP * 25.0)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_ybr_becomes_rgb_in_every_lossless_coding(syntax: Any, tmp_path: Path) -> None:
    px = np.broadcast_to(np.array([76, 85, 255], np.uint8), (4, 6, 3)).copy()
    found = read(dicom(tmp_path / "a.dcm", px, syntax=syntax, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(found.field.values[:, 0, 0].astype(int) - [255, 0, 0]).max() <= 1


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_deep_ybr_is_never_taken_for_rgb(syntax: Any, tmp_path: Path) -> None:
    path = dicom(
        tmp_path / "a.dcm", COLORS.astype(np.uint16) * 257, syntax=syntax, PhotometricInterpretation="YBR_FULL"
    )
    with pytest.raises(FormatError, match="export it as RGB"):
        read(path)


@pytest.mark.parametrize("keeps_rgb", [False, True])
def test_jpegs_own_marker_says_its_colors_whatever_the_header_says(keeps_rgb: bool, tmp_path: Path) -> None:
    stored = io.BytesIO()
    smooth = np.asarray(Image.fromarray(COLORS).resize((64, 48)))
    # Pillow writes JFIF's marker with YCbCr, and Adobe's with RGB.
    Image.fromarray(smooth).save(stored, "JPEG", quality=95, subsampling=0, keep_rgb=keeps_rgb)
    assert (b"JFIF" in stored.getvalue()[:32]) is not keeps_rgb
    path = dicom(tmp_path / "a.dcm", smooth)
    found = pydicom.dcmread(path)
    found.PixelData = encapsulate([stored.getvalue()])
    found.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    found.save_as(path)
    with Image.open(stored) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(read(path).field.values, expected.transpose(2, 0, 1))


EXACT = [
    *("693_J2KI.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm", "MR_small.dcm", "MR_small_RLE.dcm"),
    *("MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "MR_small_padded.dcm"),
    *("ExplVR_BigEnd.dcm", "SC_jpeg_no_color_transform.dcm", "SC_jpeg_no_color_transform_2.dcm", "SC_rgb_gdcm_KY.dcm"),
    *("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_dcmtk.dcm"),
    *("SC_rgb_dcmtk_+eb+cy+n2.dcm", "SC_rgb_dcmtk_+eb+cy+s2.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb_jpeg.dcm"),
    *("SC_rgb_jpeg_app14_dcmd.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm"),
    *("SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd_jpeg.dcm", "examples_palette.dcm"),
    *("SC_ybr_full_422_uncompressed.dcm", "examples_jpeg2k.dcm", "examples_rgb_color.dcm", "image_dfl.dcm"),
]


def bundled(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip(f"pydicom's {name} isn't here")
    return Path(str(found))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # the oracle's, of odd files
@pytest.mark.parametrize("name", EXACT)
def test_pydicoms_own_files_are_read_as_pydicom_reads_them(name: str) -> None:
    header = pydicom.dcmread(bundled(name))
    expected = header.pixel_array.astype(float)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        expected = (apply_color_lut(header.pixel_array, header) >> 8).astype(float)
    elif header.SamplesPerPixel == 3:
        expected *= 255 / (2**header.BitsStored - 1)
    elif "RescaleSlope" in header:
        expected = expected * float(header.RescaleSlope) + float(header.RescaleIntercept)
    found = read(bundled(name)).field.values
    beyond = np.zeros(expected.shape, bool)
    if "PixelPaddingValue" in header:
        beyond = header.pixel_array == header.PixelPaddingValue
    off = np.abs(np.moveaxis(found, 0, -1).squeeze() - expected)
    assert off[~beyond].max() < 1e-3


BY_HAND = {
    # the same image in a coding that pydicom can decode, and what lossy coding may change a px by, on average
    "MR_small_jpeg_ls_lossless.dcm": ("MR_small.dcm", 0),
    "SC_rgb_jpeg_gdcm.dcm": ("SC_rgb_rle.dcm", 0),
    "SC_rgb_jls_lossy_line.dcm": ("SC_rgb_rle.dcm", 2),
    "SC_rgb_jls_lossy_sample.dcm": ("SC_rgb_rle.dcm", 2),
    "JPEG-lossy.dcm": ("JPEG2000.dcm", 5),
    "JPGExtended.dcm": ("JPEG2000.dcm", 5),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_files_that_pydicom_needs_more_for_show_the_same_image(name: str) -> None:
    twin, most = BY_HAND[name]
    found, other = (read(bundled(each)).field.values.astype(float) for each in (name, twin))
    assert np.abs(found - other).mean() <= most


@pytest.mark.parametrize("name", ["SC_rgb_rle_2frame.dcm", "SC_rgb_rle_16bit_2frame.dcm", "examples_ybr_color.dcm"])
def test_every_frame_of_a_film_can_be_decoded_though_the_whole_is_refused(name: str) -> None:
    path = bundled(name)
    with pytest.raises(FormatError, match="frames without positions in space"):
        read(path)
    found = open_dicom(path, limit=LIMIT, pixels=True)
    layout = layout_of(found, limit=LIMIT)
    expected = pydicom.dcmread(path).pixel_array
    assert all(np.array_equal(frame(found, layout, i), expected[i]) for i in (0, 1, layout.frames - 1))


TOLD = {
    "ExplVR_LitEndNoMeta.dcm": "no DICOM file header",
    "MR_truncated.dcm": r"cut off: 8,130 bytes of px, expected 8,192",
    "SC_rgb_rle_32bit.dcm": "colors of 32 bits",
    "JPEG2000-embedded-sequence-delimiter.dcm": "its px claim",
    "badVR.dcm": "a radiation dose",
    "rtdose.dcm": "a radiation dose",
    "rtplan.dcm": "a plan for radiotherapy",
    "liver_1frame.dcm": "a mask",
    "meta_missing_tsyntax.dcm": "TransferSyntaxUID",
    "reportsi.dcm": "a report",
    "waveform_ecg.dcm": "a curve",
    "no_meta_group_length.dcm": "holds no image",
}


@pytest.mark.parametrize("name", TOLD)
def test_what_is_no_picture_is_refused_by_name(name: str) -> None:
    with pytest.raises((FormatError, UnreadableError), match=TOLD[name]) as told:
        read(bundled(name))
    assert str(told.value).startswith(name)


def test_empty_file_is_told_whatever_its_name(tmp_path: Path) -> None:
    for name in ("a.dcm", "a.ima", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(UnreadableError, match="the file is empty; copy it again"):
            read(tmp_path / name)


def test_file_cut_off_inside_its_header_is_never_another_kind_of_file(tmp_path: Path) -> None:
    stored = dicom(tmp_path / "a.dcm", DEEP, bits=12).read_bytes()
    for kept in range(133, len(stored) - DEEP.nbytes, 5):
        (tmp_path / "b.dcm").write_bytes(stored[:kept])
        with pytest.raises((FormatError, UnreadableError), match=r"copy it again|its header has no") as told:
            read(tmp_path / "b.dcm")
        assert "report" not in str(told.value)


REFUSED: dict[str, tuple[dict[str, Any], type[SlideError], str]] = {
    "a whole slide": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6", "Modality": "SM"}, ModalityError, "slides"),
    "CMYK": ({"PhotometricInterpretation": "CMYK"}, FormatError, "px stored as CMYK"),
    "an unknown kind": ({"PhotometricInterpretation": "DOE"}, FormatError, "stored as an unknown kind"),
    "no bits": ({"BitsStored": 0}, UnreadableError, "0 bits in 16"),
    "bits beyond": ({"BitsStored": 17, "HighBit": 16}, UnreadableError, "17 bits in 16"),
    "bits below none": ({"HighBit": 3}, UnreadableError, "below bit 3"),
    "gray of three": ({"SamplesPerPixel": 3}, UnreadableError, "3 samples a px"),
    "no rows": ({"Rows": 0}, UnreadableError, "17 x 0 px"),
    "more rows than stored": ({"Rows": 60_000, "Columns": 60}, UnreadableError, "cut off"),
    "a picture beyond the limit": ({"Rows": 60_000, "Columns": 60_000}, TooLargeError, "one frame claims"),
    "a window of no width": ({"WindowCenter": 3, "WindowWidth": 0}, UnreadableError, "window of width 0"),
    "a table cut off": ({"VOILUTSequence": [table(np.arange(9), 0, 16)]}, UnreadableError, "cut off"),
}


@pytest.mark.parametrize("claim", REFUSED)
def test_impossible_header_is_refused_by_name(claim: str, tmp_path: Path) -> None:
    changes, error, told = REFUSED[claim]
    path = dicom(tmp_path / "a.dcm", DEEP)
    found = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(found, name, value)
    if "VOILUTSequence" in changes:
        found.VOILUTSequence[0].LUTDescriptor = [99, 0, 16]
    found.save_as(path)
    with pytest.raises(error, match=told):
        read(path)


def test_deflated_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", np.zeros((4000, 4000), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
    assert path.stat().st_size < 1 << 17
    with pytest.raises(TooLargeError, match="the deflated file"):
        read_field([path], limit=16 << 20)


def test_compressed_frame_that_claims_another_size_is_refused(tmp_path: Path) -> None:
    for syntax in (JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1):
        path = dicom(tmp_path / "a.dcm", np.tile(DEEP, (40, 40)), syntax=syntax, bits=12)
        found = pydicom.dcmread(path)
        found.Rows, found.Columns = 13, 17
        found.save_as(path)
        with pytest.raises(UnreadableError, match=r"its px claim 680 x 520 px of 1 samples, the header 17 x 13 of 1"):
            read(path)


def group(**parts: dict[str, Any]) -> Dataset:
    """Return functional groups of a frame, each of one item."""
    found = Dataset()
    for name, elements in parts.items():
        part = Dataset()
        for element, value in elements.items():
            setattr(part, element, value)
        setattr(found, f"{name}Sequence", [part])
    return found


def test_radiograph_of_one_frame_with_groups_of_frames_is_a_picture(tmp_path: Path) -> None:
    options: dict[str, Any] = {"bits": 12, "NumberOfFrames": 1, "PerFrameFunctionalGroupsSequence": [Dataset()]}
    path = dicom(tmp_path / "a.dcm", DEEP[None], WindowCenter=2048, WindowWidth=4096, **options)
    assert np.allclose(read(path).field.values[0], window(DEEP, 2048, 4096), atol=1e-3)
    options["PerFrameFunctionalGroupsSequence"] = [
        group(
            FrameVOILUT={"WindowCenter": 4000, "WindowWidth": 3000}, PixelMeasures={"PixelSpacing": [0.2, 0.1]}
        )
    ]  # fmt: skip
    shared = [group(PixelValueTransformation={"RescaleSlope": 2, "RescaleIntercept": -100})]
    found = read(dicom(tmp_path / "b.dcm", DEEP[None], SharedFunctionalGroupsSequence=shared, **options))
    assert np.allclose(found.field.values[0], window(DEEP * 2.0 - 100, 4000, 3000), atol=1e-3)
    assert found.info.spacing == (0.2, 0.1)


def test_text_burned_into_px_is_told(tmp_path: Path) -> None:
    found = read(dicom(tmp_path / "a.dcm", COLORS, BurnedInAnnotation="YES", Modality="US"))
    assert found.info.findings == ("the file says that text is burned into its px",)


def test_single_slice_keeps_its_units(tmp_path: Path) -> None:
    path = dicom(
        tmp_path / "a.dcm", DEEP, bits=12, Modality="CT", SOPClassUID=CTImageStorage, RescaleIntercept=-1024, RescaleSlope=1,
        WindowCenter=40, WindowWidth=400, PixelSpacing=[0.5, 0.5],
    )  # fmt: skip
    found = read(path)
    assert np.array_equal(found.field.values[0], DEEP.astype(float) - 1024)
    assert (found.info.axes, found.field.channels, found.info.spacing) == (2, ("value",), (0.5, 0.5))
