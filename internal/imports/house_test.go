package imports

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/arch/all"
)

// mostLines is how long a file may be before it is split, by noun.
const mostLines = 450

// sources calls fn for each file of the repository with one of the endings.
func sources(t *testing.T, fn func(name string, content []byte), endings ...string) {
	t.Helper()
	found := 0
	dir := root(t)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == ".git" || name == "build" {
				return filepath.SkipDir
			}
			return nil
		}
		// What the kernel's build leaves beside a module.
		if !slices.Contains(endings, filepath.Ext(name)) || strings.HasSuffix(name, ".mod.c") || !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found++
		fn(filepath.ToSlash(name), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Fatalf("no file ends in %v", endings)
	}
}

func TestFilesAreShort(t *testing.T) {
	sources(t, func(name string, content []byte) {
		if lines := bytes.Count(content, []byte("\n")); lines > mostLines && !bytes.Contains(content[:min(len(content), 200)], []byte("// Code generated ")) {
			t.Errorf("%s has %d lines, the most is %d", name, lines, mostLines)
		}
	}, ".go", ".c", ".h", ".sh")
}

// A name like regs_arm.go is a build constraint that nobody meant.
func TestNoFileIsIgnored(t *testing.T) {
	built := make(map[string]bool)
	for _, p := range list(t) {
		if p.Error != nil {
			t.Errorf("%s: %s", p.folder(), p.Error.Err)
		}
		for _, files := range [][]string{p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles} {
			for _, file := range files {
				built[filepath.ToSlash(filepath.Join(p.folder(), file))] = true
			}
		}
	}
	sources(t, func(name string, content []byte) {
		constrained := bytes.HasPrefix(content, []byte("//go:build ")) || bytes.Contains(content, []byte("\n//go:build "))
		if constrained && !below(name, "arch") || strings.Contains(name, "testdata/") {
			return
		}
		if !built[name] {
			t.Errorf("the Go tool ignores %s on this machine", name)
		}
	}, ".go")
}

// Only commands print and exit; the rest returns errors and takes a logger.
func TestLibrariesAreQuiet(t *testing.T) {
	banned := map[string][]string{
		"fmt": {"Print", "Printf", "Println"},
		"os":  {"Exit"},
	}
	parsed(t, func(name string, files *token.FileSet, file *ast.File) {
		if file.Name.Name == "main" {
			return
		}
		for _, imported := range file.Imports {
			if imported.Path.Value == `"log"` {
				t.Errorf("%s imports log", name)
			}
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch fn := call.Fun.(type) {
			case *ast.Ident:
				if fn.Name == "print" || fn.Name == "println" {
					t.Errorf("%v: %s", files.Position(call.Pos()), fn.Name)
				}
			case *ast.SelectorExpr:
				if x, ok := fn.X.(*ast.Ident); ok && slices.Contains(banned[x.Name], fn.Sel.Name) {
					t.Errorf("%v: %s.%s", files.Position(call.Pos()), x.Name, fn.Sel.Name)
				}
			}
			return true
		})
	})
}

// Outside arch nothing asks which architecture a guest has: no source has the
// name of one, or of its ELF files' machine or relocations.
func TestArchitecturesAreValues(t *testing.T) {
	names := make(map[string]bool)
	for _, a := range all.Archs() {
		names[strconv.Quote(a.Name)] = true
	}
	parsed(t, func(name string, files *token.FileSet, file *ast.File) {
		if below(name, "arch") || below(name, "xtest") {
			return
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.BasicLit:
				if names[n.Value] {
					t.Errorf("%v: %s", files.Position(n.Pos()), n.Value)
				}
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && x.Name == "elf" && (strings.HasPrefix(n.Sel.Name, "EM_") || strings.HasPrefix(n.Sel.Name, "R_")) {
					t.Errorf("%v: elf.%s", files.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	})
}

// parsed calls fn with each Go source but tests and their data.
func parsed(t *testing.T, fn func(name string, files *token.FileSet, file *ast.File)) {
	t.Helper()
	sources(t, func(name string, content []byte) {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/") {
			return
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, content, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		fn(name, files, file)
	}, ".go")
}

func TestEachPackageHasADoc(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" && len(p.GoFiles)+len(p.CgoFiles) > 0 {
			t.Errorf("%s has no package comment", p.folder())
		}
	}
}

// What is loaded into QEMU or into a kernel is under their licence.
func TestLicences(t *testing.T) {
	sources(t, func(name string, content []byte) {
		if !below(name, "testdata/modules") && !below(name, "hv/qemu/plugin") {
			return
		}
		line, _, _ := bytes.Cut(content, []byte("\n"))
		if !bytes.Contains(line, []byte("SPDX-License-Identifier: GPL-2.0-or-later")) {
			t.Errorf("%s does not begin with its licence", name)
		}
	}, ".c", ".h")
}
