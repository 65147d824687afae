"""Makes pil.json: what Pillow makes of pictures by formula at 24 x 20, for each kernel. Run with Pillow 12 to make it anew."""
import base64, json
from PIL import Image

sizes = [(97, 61), (20, 50), (24, 24), (23, 11), (1920, 31), (3, 90)]
kernels = {'nearest': 0, 'linear': 2, 'cubic': 3, 'lanczos3': 1}


def colour(x, y):
    return ((x * x + 3 * y) % 256, (x * 7 + y * y) % 256, ((x >> 2) + (y >> 3)) % 2 * 255)


def drawn(width, height):
    picture = Image.new('RGB', (width, height))
    picture.putdata([colour(x, y) for y in range(height) for x in range(width)])
    return picture


pictures = {f'{width} x {height}': drawn(width, height) for width, height in sizes}
for file in ['cat.png', 'airplane.png']:
    pictures[file] = Image.open(f'../../../../test/fixtures/{file}').convert('RGB')

golden = []
for name, picture in pictures.items():
    for kernel, number in kernels.items():
        pixels = base64.b64encode(picture.resize((24, 20), number).tobytes()).decode()
        golden.append({'name': name, 'kernel': kernel, 'pixels': pixels})
json.dump(golden, open('pil.json', 'w'), indent=0)
