"""What Pillow makes of files: pillow.py SIDE FILE... A line of JSON for each, as decode.ts writes them."""
import io, json, sys, time, warnings
from PIL import Image, ImageCms, ImageOps

warnings.simplefilter('ignore')
Image.MAX_IMAGE_PIXELS = None
try:
    import pillow_heif
    pillow_heif.register_heif_opener()
except ImportError:
    pass
side, files = int(sys.argv[1]), sys.argv[2:]
srgb = ImageCms.createProfile('sRGB')


def in_srgb(picture):
    """As viewers show it: with its profile, as the colours of a screen."""
    profile = picture.info.get('icc_profile')
    if not profile or picture.mode not in ('RGB', 'CMYK', 'L', 'RGBA'):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = 'RGBA' if picture.mode == 'RGBA' else 'RGB'
        return ImageCms.profileToProfile(picture, source, srgb, renderingIntent=0, outputMode=mode)
    except ImageCms.PyCMSError:
        return picture


def eight_bits(picture):
    """Pillow cuts 16 bits off at 255 where it turns them into 8."""
    if picture.mode in ('I;16', 'I;16B', 'I;16L', 'I'):
        grey = picture.convert('I').point(lambda value: value / 257).convert('L')
        grey.info.pop('transparency', None)
        return grey
    return picture


def cells_of(path):
    with Image.open(path) as picture:
        picture.load()
        picture = in_srgb(eight_bits(ImageOps.exif_transpose(picture)))
        if 'transparency' in picture.info or picture.mode in ('LA', 'PA', 'RGBA', 'La', 'RGBa'):
            picture = picture.convert('RGBA')
            picture = Image.alpha_composite(Image.new('RGBA', picture.size, 'white'), picture)
        small = picture.convert('RGB').resize((side, side), Image.Resampling.BILINEAR)
        return list(small.resize((8, 8), Image.Resampling.BOX).tobytes())


for file in files:
    started = time.perf_counter()
    try:
        seen = {'file': file, 'cells': cells_of(file), 'ms': 1000 * (time.perf_counter() - started)}
    except Exception as error:
        seen = {'file': file, 'refused': f'{type(error).__name__}: {error}'}
    print(json.dumps(seen), flush=True)
