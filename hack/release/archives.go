package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tarSuffix is how the name of an archive ends, but for Windows.
const tarSuffix = ".tar.gz"

// archives builds every command for every platform, and packs each into an archive of its own.
func (r *release) archives(ctx context.Context) error {
	for _, one := range r.Archives {
		if !r.hasSource(one.Command) {
			r.say("  %s: its source is not there; left out", one.Command)
			continue
		}
		for _, platform := range one.Platforms {
			if err := r.archive(ctx, one.Command, platform); err != nil {
				return err
			}
		}
	}
	return nil
}

// hasSource says whether a command is there to be built.
func (r *release) hasSource(command string) bool {
	_, err := os.Stat(filepath.Join(r.root, "cmd", command))
	return !errors.Is(err, fs.ErrNotExist)
}

// target is the environment in which Go builds for a platform. GOFLAGS takes the place of those of the machine, also of
// those that `go env -w` has written, which an empty one does not.
func target(system, processor string) []string {
	return []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + processor, "GOFLAGS=-trimpath"}
}

// archiveNames are what the archive of a command for a platform is called, and what the command is called in it.
func (r *release) archiveNames(command, platform string) (name, binary string) {
	system, processor, _ := strings.Cut(platform, "/")
	binary, suffix := command, tarSuffix
	if system == "windows" {
		binary, suffix = command+".exe", ".zip"
	}
	return fmt.Sprintf("%s_%s_%s_%s%s", command, r.version.bare(), system, processor, suffix), binary
}

func (r *release) archive(ctx context.Context, command, platform string) error {
	system, processor, _ := strings.Cut(platform, "/")
	name, binary := r.archiveNames(command, platform)
	pack := packZip
	if strings.HasSuffix(name, tarSuffix) {
		pack = packTar
	}
	built, err := r.build(ctx, command, system, processor)
	if err != nil {
		return err
	}
	files := []file{{name: binary, mode: 0o755, content: built}}
	for _, name := range r.Files {
		content, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return err
		}
		files = append(files, file{name: filepath.Base(name), mode: 0o644, content: content})
	}
	var packed bytes.Buffer
	if err := pack(&packed, files, r.commit.time); err != nil {
		return err
	}
	r.say("  %s", name)
	return r.write(name, packed.Bytes())
}

// build gives a static binary. It holds the commit that it is of, and no path of the machine that built it.
func (r *release) build(ctx context.Context, command, system, processor string) (built []byte, err error) {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, command)
	_, err = output(ctx, r.root, target(system, processor),
		"go", "build", "-buildvcs=true", "-ldflags=-s -w -buildid=", "-o", path, "./cmd/"+command)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// file is one in an archive.
type file struct {
	name    string
	mode    fs.FileMode
	content []byte
}

// packTar writes a gzipped tar in which nothing but the files and one time is.
func packTar(to io.Writer, files []file, at time.Time) error {
	zipped, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return err
	}
	packed := tar.NewWriter(zipped)
	for _, one := range files {
		header := &tar.Header{
			Name: one.name, Mode: int64(one.mode), Size: int64(len(one.content)), ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
		}
		if err := packed.WriteHeader(header); err != nil {
			return err
		}
		if _, err := packed.Write(one.content); err != nil {
			return err
		}
	}
	return errors.Join(packed.Close(), zipped.Close())
}

// packZip is packTar for Windows.
func packZip(to io.Writer, files []file, at time.Time) error {
	packed := zip.NewWriter(to)
	for _, one := range files {
		header := &zip.FileHeader{Name: one.name, Method: zip.Deflate, Modified: at}
		header.SetMode(one.mode)
		entry, err := packed.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(one.content); err != nil {
			return err
		}
	}
	return packed.Close()
}
