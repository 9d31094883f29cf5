"""EXIF blocks and turned pixels, as a camera would write them."""

from dataclasses import dataclass
from typing import NamedTuple

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

# How the sensor's pixels lie for each EXIF orientation, so that a viewer shows them upright.
_STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


class Camera(NamedTuple):
    """The names as the maker writes them."""

    make: str
    model: str
    lens: str


FUJI = Camera("FUJIFILM", "X-T5", "XF33mmF1.4 R LM WR")


@dataclass(frozen=True, slots=True)
class Shot:
    """What the camera noted. `taken` is "YYYY:MM:DD HH:MM:SS" local time, `offset` "+09:00";
    `place` is latitude, longitude (degrees) and altitude (metres), all signed."""

    taken: str | None = None
    offset: str | None = None
    place: tuple[float, float, float] | None = None
    orientation: int = 1
    camera: Camera = FUJI
    exposure: tuple[int, int] = (1, 250)


def exif_block(shot: Shot) -> bytes:
    """The block as it stands in a JPEG's APP1 segment, beginning with "Exif\\0\\0"."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = shot.camera.make
    exif[ExifTags.Base.Model] = shot.camera.model
    exif[ExifTags.Base.Orientation] = shot.orientation
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.ExposureTime] = IFDRational(*shot.exposure)
    details[ExifTags.Base.FNumber] = IFDRational(28, 10)
    details[ExifTags.Base.ISOSpeedRatings] = 200
    details[ExifTags.Base.FocalLength] = IFDRational(33, 1)
    details[ExifTags.Base.LensModel] = shot.camera.lens
    if shot.taken:
        details[ExifTags.Base.DateTimeOriginal] = shot.taken
    if shot.offset:
        details[ExifTags.Base.OffsetTimeOriginal] = shot.offset
    if shot.place:
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(_gps(*shot.place))
    return exif.tobytes()


def _gps(latitude: float, longitude: float, altitude: float) -> dict[int, object]:
    return {
        ExifTags.GPS.GPSLatitudeRef: "S" if latitude < 0 else "N",
        ExifTags.GPS.GPSLatitude: _sexagesimal(latitude),
        ExifTags.GPS.GPSLongitudeRef: "W" if longitude < 0 else "E",
        ExifTags.GPS.GPSLongitude: _sexagesimal(longitude),
        ExifTags.GPS.GPSAltitudeRef: b"\1" if altitude < 0 else b"\0",
        ExifTags.GPS.GPSAltitude: IFDRational(round(abs(altitude) * 10), 10),
    }


def _sexagesimal(angle: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    hundredths = round(abs(angle) * 360_000)
    minutes, seconds = divmod(hundredths, 6000)
    degrees, minutes = divmod(minutes, 60)
    return IFDRational(degrees, 1), IFDRational(minutes, 1), IFDRational(seconds, 100)


def as_stored(upright: Image.Image, orientation: int) -> Image.Image:
    """The pixels that an image with this orientation tag must hold to be shown as `upright`."""
    stored = _STORED_AS.get(orientation)
    return upright if stored is None else upright.transpose(stored)
