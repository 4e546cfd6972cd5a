# make demo       set up, build, and show what the tools do on a small model
# make test       set up, build, and run every test (T=text: those whose name has it; J=2: so many at a time;
#                 JUNIT=file: also write JUnit's XML)
# make test-ptx   what nvcc makes of the kernels, for every architecture, run on the CPU
# make test-gpu   the kernels on this machine's GPU; REQUIRE_GPU=1: no GPU is an error
# make            build the tools into build/
# make bench      measure speed and memory beside cp, openssl and sha256sum
# make oracle     compare with independent re-derivations in Python (fetches packages)
# make oracle-engines   compare layouts with the engines' own Python (fetches gigabytes)
# make install    PREFIX=/usr/local, DESTDIR=; tools, man pages, completions for bash, zsh, fish
# make format     rewrite the sources as .clang-format has it
# make clean      # make help
#
# SAN=1           under ASan and UBSan        CC=clang, CFLAGS=...   as usual
# CUDA=0 | 1      leave CUDA out | insist on it; unset: used if nvcc is found
# V=1             print the commands
# Each combination builds in a folder of its own; build/dsv4-convert is the one built last.

SAN    ?= 0
Q      := $(if $(filter 1,$(V)),,@)
NVCC   ?= $(shell command -v nvcc 2>/dev/null || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
CUDA   ?= $(if $(NVCC),1,0)
PREFIX ?= /usr/local
MANDIR  = $(PREFIX)/share/man/man1
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR  = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
ifneq ($(filter-out clean format help,$(or $(MAKECMDGOALS),all)),)
ifeq ($(filter 0 1,$(CUDA)),)
$(error CUDA=$(CUDA) is neither 0 nor 1)
endif
ifeq ($(CUDA)$(shell command -v "$(NVCC)" 2>/dev/null),1)
$(error CUDA=1 but there is no nvcc$(if $(NVCC), at $(NVCC)); set NVCC=/path/to/nvcc or CUDA=0)
endif
endif

CC      = gcc
CFLAGS ?= -O2 -g
WARN   := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough
HARD   := -fstack-protector-strong -fPIE $(if $(filter 1,$(SAN)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
CF     := -std=c11 -D_GNU_SOURCE -I. $(WARN) $(HARD) -ffp-contract=off $(CFLAGS)
LF     := -pie -Wl,-z,relro,-z,now $(LDFLAGS)
LIBS   := -ljansson -lxxhash -lzstd -lcrypto -lm -lpthread
ifeq ($(SAN),1)
CF     += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LF     += -fsanitize=address,undefined
endif
B      := build/$(notdir $(CC))-$(if $(filter 1,$(SAN)),san,opt)

# A file stands in for a file: x_x86.c on x86-64, x_none.c elsewhere.
# Before set-up there may be no compiler yet.
X86    := $(filter x86_64%,$(shell $(CC) -dumpmachine 2>/dev/null || uname -m))
OTHER  := $(if $(X86),%_none.c,%_x86.c %_avx2.c %_avx512.c)
FOLDERS := core formats quant kernels convert verify
LIB_C  := $(filter-out $(OTHER) kernels/cuda/cuda_none.c %/main.c,$(wildcard $(FOLDERS:%=%/*.c) $(FOLDERS:%=%/*/*.c)))
# The plain kernels once more, for processors with FMA: fmaf is an instruction there and not a call.
FMA_C  := $(if $(X86),$(wildcard kernels/ref/ref_*.c))
TOOLS  := dsv4-convert dsv4-verify
TESTS  := $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
# The .cu files compiled by the C++ compiler for the CPU (tests/fiber); where there is none, this test is
# left out and tests/run.sh says so.
CXX     = $(if $(findstring clang,$(CC)),clang++,g++)
CUTESTS := test_cuda test_device test_cudamodel
CU     := $(wildcard kernels/cuda/*.cu) tests/fiber/probe.cu
NVFLAGS := -std=c++17 -O3 -I. -fmad=false -ftz=false -prec-div=true -prec-sqrt=true -Werror all-warnings
ARCHS  := $(if $(NVCC),$(filter 80 86 89 90 100 120,$(patsubst compute_%,%,$(shell "$(NVCC)" --list-gpu-arch 2>/dev/null))))
ifeq ($(shell command -v $(firstword $(CXX)) 2>/dev/null),)
TESTS  := $(filter-out $(CUTESTS),$(TESTS))
endif
HELPERS := mkmodel packtile arith
# make runs as many commands at a time as there are processors for this process, unless -j says how many.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif

all: $(TOOLS:%=build/%)

# A link, so that scripts need not know the mode. What was built last may be another mode's: it is set
# each time.
$(TOOLS:%=build/%): build/%: $(B)/% force
	@ln -sfn $(notdir $(B))/$* $@

# Asked each time: what was there when the stamp was made may be gone.
build/setup.ok: tests/setup.sh force
	@CC="$(CC)" sh tests/setup.sh
	@mkdir -p build && { [ -f $@ ] || touch $@; }

# CUDA: all kernels for every architecture in one object, the same for all compilers and modes; or the file
# that says there is none.
GENCODE := $(foreach a,$(ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
	-gencode arch=compute_$(lastword $(ARCHS)),code=compute_$(lastword $(ARCHS))
ifeq ($(CUDA),1)
LIB_CU := build/nvcc/kernels.o
LIBS   += -L$(dir $(shell readlink -f "$(NVCC)" 2>/dev/null))../lib64 -lcudart_static -lstdc++ -lrt -ldl
else
LIB_CU := $(B)/kernels/cuda/cuda_none.c.o
endif
build/nvcc/kernels.cu: $(wildcard kernels/cuda/*.cu) Makefile
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(wildcard kernels/cuda/*.cu) >$@
build/nvcc/kernels.o: build/nvcc/kernels.cu $(wildcard kernels/cuda/*) kernels/dev.h kernels/weight.h kernels/fmath.h quant/num.h formats/layout/tile_at.h
	@echo "  NVCC kernels/cuda/*.cu ($(ARCHS)), once"
	$(Q)"$(NVCC)" $(NVFLAGS) $(GENCODE) -t 2 -Xcompiler -fPIE,-Wall,-Wextra,-ffp-contract=off -c -o $@ $<

# One library for each folder, linked once and in this order: a symbol of a higher folder is not found from
# a lower one.
LIBA   := $(foreach f,convert verify kernels quant formats core,$(B)/lib$(f).a)
EXTRA_kernels := $(LIB_CU) $(FMA_C:%.c=$(B)/%.fma.o)
define library
$(B)/lib$(1).a: $(EXTRA_$(1)) $(patsubst %,$(B)/%.o,$(filter $(1)/%,$(LIB_C)))
	@rm -f $$@
	@echo "  AR $$@"
	$(Q)$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call library,$(f))))
$(TOOLS:%=$(B)/%): $(B)/dsv4-%: $(B)/%/main.c.o $(LIBA)
	@echo "  LD $@"
	$(Q)$(CC) $(LF) -o $@ $^ $(LIBS)
$(B)/test_fault $(B)/test_folder: LF += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
$(TESTS:%=$(B)/%) $(HELPERS:%=$(B)/%): $(B)/%: $(B)/tests/%.c.o $(LIBA)
	@echo "  LD $@"
	$(Q)$(CC) $(LF) -o $@ $(filter-out %.a,$^) $(filter %.a,$^) $(LIBS)

$(B)/%.c.o: %.c $(B)/flags build/setup.ok
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(CF) -MMD -MP -c -o $@ $<
$(B)/%.fma.o: %.c $(B)/flags build/setup.ok
	@mkdir -p $(@D)
	@echo "  CC $< (FMA)"
	$(Q)$(CC) $(CF) -O3 -mavx2 -mfma -DREF_FMA -MMD -MP -c -o $@ $<
CXF     = -std=c++17 -Itests/fiber -Wno-unknown-pragmas $(filter-out -std=c11 -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wconversion \
	-Wsign-conversion,$(CF))
$(B)/%.cu.o: %.cu $(B)/flags build/setup.ok
	@mkdir -p $(@D)
	@echo "  CXX $<"
	$(Q)$(CXX) $(CXF) -x c++ -MMD -MP -c -o $@ $<
$(B)/%.cc.o: %.cc $(B)/flags build/setup.ok
	@mkdir -p $(@D)
	@echo "  CXX $<"
	$(Q)$(CXX) $(CXF) -MMD -MP -c -o $@ $<
# The runtime switches stacks itself: TSan must not look into it, but be told.
$(B)/tests/fiber/fiber.c.o: CF := $(patsubst -fsanitize=thread,-DFIBER_TSAN,$(CF))
PTX_C  := $(wildcard tests/ptx/*.c)
FIBER  := $(CU:%=$(B)/%.o) $(B)/tests/fiber/fiber.c.o $(B)/tests/fiber/runtime.cc.o
$(CUTESTS:%=$(B)/%): $(FIBER) $(PTX_C:%=$(B)/%.o)
$(CUTESTS:%=$(B)/%): LF += -rdynamic
$(CUTESTS:%=$(B)/%): LIBS += -ldl -lstdc++
$(B)/test_ptx: $(patsubst %,$(B)/%.o,$(filter-out %/hook.c,$(PTX_C)))
# Rebuilt only when the flags really change.
$(B)/flags: force
	@mkdir -p $(@D); echo '$(CC) $(CF) | $(LF)' | cmp -s - $@ || echo '$(CC) $(CF) | $(LF)' > $@

# AVX-512 over SIMDe, for processors without it. Before the library, so that the one in there is not taken.
EMULATED := $(addprefix $(B)/emulated/,test_linear test_forward)
$(B)/emulated/linear_avx512.o: kernels/linear/linear_avx512.c tests/emulate/immintrin.h $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC $< (emulated)"
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -Itests/emulate -I. -O1 -g -fPIE -ffp-contract=off -mavx2 -mfma -mf16c -w -Wno-psabi -c -o $@ $<
$(EMULATED): $(B)/emulated/%: $(B)/tests/%.c.o $(B)/emulated/linear_avx512.o $(LIBA)
	@echo "  LD $@"
	$(Q)$(CC) $(LF) -o $@ $^ $(LIBS)
emulated: $(EMULATED)

helpers: $(HELPERS:%=$(B)/%)

test: all helpers $(TESTS:%=$(B)/%) $(B)/runner
	@B=$(B) CC="$(CC)" JUNIT="$(JUNIT)" T="$(T)" J="$(J)" sh tests/run.sh $(TESTS)
# It is no part of what it tests: it uses none of the libraries.
$(B)/runner: $(B)/tests/runner.c.o
	@echo "  LD $@"
	$(Q)$(CC) $(LF) -o $@ $<

# The same tests with the kernels on a GPU. LIB_CU must be nvcc's: CUDA=1.
GPU    := $(B)/gpu
build/nvcc/probe.o: tests/fiber/probe.cu tests/fiber/probe.h formats/layout/tile_at.h quant/num.h
	@mkdir -p $(@D)
	$(Q)"$(NVCC)" $(NVFLAGS) $(GENCODE) -t 2 -Xcompiler -fPIE -c -o $@ $<
$(CUTESTS:%=$(GPU)/%): $(GPU)/%: $(B)/tests/%.c.o build/nvcc/probe.o $(B)/tests/fiber/none.c.o $(PTX_C:%=$(B)/%.o) $(LIBA)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LF) -o $@ $(filter-out %.a,$^) $(filter %.a,$^) $(LIBS)
test-gpu: $(if $(filter 1,$(CUDA)),$(CUTESTS:%=$(GPU)/%)) build/dsv4-verify
	@B=$(B) CUDA=$(CUDA) NVCC="$(NVCC)" ARCHS="$(ARCHS)" CUTESTS="$(CUTESTS)" sh tests/gpu.sh

test-ptx: $(CUTESTS:%=$(B)/%) build/nvcc/kernels.cu
	@B=$(B) NVCC="$(NVCC)" NVFLAGS="$(NVFLAGS)" CU="build/nvcc/kernels.cu tests/fiber/probe.cu" CUTESTS="$(CUTESTS)" ARCHS="$(ARCHS)" sh tests/cuda.sh

demo: all helpers
	@B=$(B) sh tests/demo.sh

bench: all helpers $(B)/bench
	@B=$(B) sh tests/bench.sh
$(B)/bench: $(B)/tests/bench.c.o $(B)/tests/bench_tile.c.o $(B)/tests/bench_linear.c.o $(LIBA)
	$(Q)$(CC) $(LF) -o $@ $^ $(LIBS)

oracle: all helpers
	@B=$(B) sh tests/oracle/run.sh
oracle-engines: helpers
	@B=$(B) sh tests/oracle/engines.sh

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(MANDIR) $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	set -e; for t in $(TOOLS); do \
		install -m 755 $(B)/$$t $(DESTDIR)$(PREFIX)/bin/; \
		for f in man:$(MANDIR)/$$t.1 bash:$(BASHDIR)/$$t zsh:$(ZSHDIR)/_$$t fish:$(FISHDIR)/$$t.fish; do \
			$(B)/$$t help --$${f%%:*} >$(B)/$$t.$${f%%:*}; \
			install -m 644 $(B)/$$t.$${f%%:*} "$(DESTDIR)$${f#*:}"; \
		done; \
	done

SOURCES := $(wildcard $(FOLDERS:%=%/*.[ch]) $(FOLDERS:%=%/*/*.[ch]) tests/*.[ch] tests/fiber/*.[ch] tests/ptx/*.[ch])
format:
	clang-format -i $(SOURCES)

clean:
	rm -rf build
help:
	@sed -n '/^#/!q; s/^# *//p' Makefile
.PHONY: all help helpers emulated test test-ptx test-gpu demo bench oracle oracle-engines install format clean force
-include $(shell find $(B) -name '*.d' 2>/dev/null)
