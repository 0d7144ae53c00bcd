package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	segmentSuffix = ".segment"
	damagedSuffix = ".damaged"
	mode          = 0o600
)

// segment is one file of the spool.
type segment struct {
	number uint64
	file   *os.File
	// size is how many of its bytes are on disk for good, records how many records these hold.
	size    int64
	records int64
}

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", number, segmentSuffix))
}

// segmentNumbers are those of the segments in a directory, in their order.
func segmentNumbers(dir string) ([]uint64, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, file := range files {
		text, is := strings.CutSuffix(file.Name(), segmentSuffix)
		if !is {
			continue
		}
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil || segmentPath(dir, number) != filepath.Join(dir, file.Name()) {
			return nil, fmt.Errorf("%s is no segment of a spool: move it elsewhere", filepath.Join(dir, file.Name()))
		}
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// newSegment makes an empty one, which a crash does not undo.
func newSegment(dir string, number uint64) (*segment, error) {
	file, err := os.OpenFile(segmentPath(dir, number), os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(magic)
	if err == nil {
		err = errors.Join(file.Sync(), syncDir(dir))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return &segment{number: number, file: file, size: int64(len(magic))}, nil
}

// openSegment opens one that was there before, mended. Lost is how many bytes were no records: they are kept
// in files beside it, but for what a crash leaves at the end of the last one.
func openSegment(dir string, number uint64, last bool) (s *segment, lost int, err error) {
	path := segmentPath(dir, number)
	raw, err := os.ReadFile(path) //nolint:gosec // G304: a file of the spool
	if err != nil {
		return nil, 0, err
	}
	mended, records, asides := mend(raw, last)
	for _, aside := range asides {
		lost += aside.to - aside.from
		if err := keepAside(path, int64(aside.from), raw[aside.from:aside.to]); err != nil {
			return nil, 0, err
		}
	}
	cut := bytes.HasPrefix(raw, mended)
	if !cut {
		if err := replace(path, mended); err != nil {
			return nil, 0, err
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, mode) //nolint:gosec // G304: a file of the spool
	if err != nil {
		return nil, 0, err
	}
	if cut && len(raw) > len(mended) { // needs no room, should the disk be full
		if err := errors.Join(file.Truncate(int64(len(mended))), file.Sync()); err != nil {
			return nil, 0, errors.Join(err, file.Close())
		}
	}
	return &segment{number: number, file: file, size: int64(len(mended)), records: int64(records)}, lost, nil
}

// mend gives a segment as it should be, and the parts of it that are damaged.
func mend(raw []byte, last bool) (mended []byte, records int, asides []span) {
	begin := len(magic)
	if len(raw) < begin || string(raw[:begin]) != magic {
		begin = 0 // whatever it is, there may be records in it
	}
	body := raw[begin:]
	frames, damage := scan(body)
	mended = append(mended, magic...)
	for _, frame := range frames {
		mended = append(mended, body[frame.from:frame.to]...)
	}
	for _, part := range damage {
		if last && part.to == len(body) && torn(body[part.from:]) {
			continue
		}
		asides = append(asides, span{begin + part.from, begin + part.to})
	}
	return mended, len(frames), asides
}

// keepAside puts damaged bytes into a file of their own, where a person can look at them. The same bytes go into
// the same file.
func keepAside(path string, at int64, damaged []byte) error {
	return replace(fmt.Sprintf("%s.%d.%08x%s", path, at, checksum(nil, damaged), damagedSuffix), damaged)
}

// replace writes a whole file, or leaves it as it was.
func replace(path string, content []byte) (err error) {
	next := path + ".new"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode) //nolint:gosec // G304: a file of the spool
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(next)) //nolint:gosec // G703: a file of the spool
	}
	if err := os.Rename(next, path); err != nil { //nolint:gosec // G703: files of the spool
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes sure that names of files stay.
func syncDir(dir string) error {
	opened, err := os.Open(dir) //nolint:gosec // G304: the directory of the spool
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// read fills some bytes with what is in the segment from one byte on.
func (s *segment) read(into []byte, from int64) error {
	_, err := s.file.ReadAt(into, from)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// remove deletes the file. Where a crash undoes that, it is sent once more.
func (s *segment) remove() error {
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
