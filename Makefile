# make            build the tools into build/; installs nothing, and says which package is missing
# make setup      install what building and testing need (Debian, Ubuntu), or print the line that does
# make demo       set up, build, and show what the tools do on a small model
# make test       set up, build, and run every test (T=text: those whose name has it; J=2: so many at a time;
#                 JUNIT=file: also write JUnit's XML); make check is the same
# make test-ptx   what nvcc makes of the kernels, for every architecture, run on the CPU
# make test-gpu   the kernels on this machine's GPU; REQUIRE_GPU=1: no GPU is an error
# make bench      measure speed and memory beside cp, openssl and sha256sum
# make oracle     compare with independent re-derivations in Python (fetches packages)
# make oracle-engines   compare layouts with the engines' own Python (fetches gigabytes)
# make oracle-vllm   load rank files and the plug-in in vLLM's own Python, without a GPU (fetches gigabytes)
# make oracle-sglang load presharded folders with SGLang's own reader, without a GPU (fetches gigabytes)
# make test-engine-gpu  on a machine with a GPU and engines: load, serve and probe; says what it saw ("Error 3": no GPU)
# make test-all-gpu     both, test-gpu and test-engine-gpu with MODEL=DOWNLOAD, in less than ten minutes, with one summary
# make oracle-runtime   run conversions in transformers, llama.cpp and MLX on this CPU (fetches gigabytes)
# make install    PREFIX=/usr/local (or prefix=), DESTDIR=, LIBDIR=, INCLUDEDIR=; tools, libdsv4 with header and pkg-config file,
#                 man pages, documents, completions for bash, zsh, fish
# make uninstall  remove what make install put there
# make dist       the committed tree as dsv4-tools-VERSION.tar.gz
# make deb        Debian packages in build/deb: the tools, libdsv4 and its development files
# make static     build/dsv4-tools-VERSION-MACHINE.tar.xz: tools that need nothing of the system they run on
# make format     rewrite the sources as .clang-format has it
# make clean      # make help
#
# CROSS=aarch64-linux-gnu-   compile with the tools of that name, for another machine
# CC, CFLAGS, CPPFLAGS, LDFLAGS   from the environment or the command line, as usual:
#                 make CC=clang; make CPPFLAGS=-I/opt/x/include LDFLAGS=-L/opt/x/lib
# SAN=1           under ASan and UBSan
# CUDA=0 | 1      leave CUDA out | insist on it; unset: used if nvcc is found
# V=1             print the commands
# Each compiler, and SAN=1, builds in a folder of its own; build/dsv4-convert is the one built last. What other
# flags change is built again.

SAN    ?= 0
Q      := $(if $(filter 1,$(V)),,@)
NVCC   ?= $(shell command -v nvcc 2>/dev/null || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
CUDA   ?= $(if $(NVCC),1,0)
prefix ?= /usr/local
PREFIX ?= $(prefix)
MANDIR  = $(PREFIX)/share/man/man1
MAN3DIR = $(PREFIX)/share/man/man3
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DOCDIR  = $(PREFIX)/share/doc/dsv4-tools
DATADIR = $(PREFIX)/share/dsv4-tools
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR  = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
ifneq ($(filter-out clean format help setup dist deb uninstall,$(or $(MAKECMDGOALS),all)),)
ifeq ($(filter 0 1,$(CUDA)),)
$(error CUDA=$(CUDA) is neither 0 nor 1)
endif
ifeq ($(CUDA)$(shell command -v "$(NVCC)" 2>/dev/null),1)
$(error CUDA=1 but there is no nvcc$(if $(NVCC), at $(NVCC)); set NVCC=/path/to/nvcc or CUDA=0)
endif
endif

ifeq ($(origin CC),default)
CC     := $(CROSS)gcc
endif
ifeq ($(origin AR),default)
AR     := $(CROSS)ar
endif
OBJCOPY ?= $(CROSS)objcopy
STRIP  ?= $(CROSS)strip
CFLAGS ?= -O2 -g
WARN   := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough
# Fortified where the caller's flags leave it open: it needs optimization, and is not for sanitizers.
FORTIFY := $(if $(filter 1,$(SAN))$(findstring FORTIFY,$(CPPFLAGS) $(CFLAGS))$(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
HARD   := -fstack-protector-strong -fPIE $(FORTIFY)
# After the caller's flags: the same bits whatever they are, and no name of the folder in what is built.
FIXED  := -ffp-contract=off -fno-fast-math -ffile-prefix-map=$(CURDIR)=.
CF      = -std=c11 -D_GNU_SOURCE -I. $(WARN) $(HARD) $(CPPFLAGS) $(CFLAGS) $(FIXED) $(SANF)
LF     := -pie -Wl,-z,relro,-z,now $(LDFLAGS)
LIBS   := -ljansson -lxxhash -lzstd -lcrypto -lm -lpthread
ifeq ($(SAN),1)
SANF   := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LF     += -fsanitize=address,undefined
endif
B      := build/$(notdir $(CC))-$(if $(filter 1,$(SAN)),san,opt)

# A file stands in for a file: x_x86.c on x86-64, x_none.c elsewhere.
# Before set-up there may be no compiler yet.
X86    := $(filter x86_64%,$(shell $(CC) -dumpmachine 2>/dev/null || uname -m))
OTHER  := $(if $(X86),%_none.c,%_x86.c %_avx2.c %_avx512.c)
FOLDERS := core formats quant kernels convert verify
LIB_C  := $(filter-out $(OTHER) kernels/cuda/cuda_none.c %/main.c quant/cli/%,$(sort $(wildcard $(FOLDERS:%=%/*.c) $(FOLDERS:%=%/*/*.c))))
# The plain kernels once more, for processors with FMA: fmaf is an instruction there and not a call.
FMA_C  := $(if $(X86),$(sort $(wildcard kernels/ref/ref_*.c)))
# The same without rounding to BF16 (kernels/ref/fp32.c).
FP32_C := $(sort $(wildcard kernels/ref/ref_*.c))
# And those that sum products with another order of sums (kernels/ref/wide_dot.c).
WIDE_C := $(patsubst %,kernels/ref/ref_%.c,hc norm linear compress attn)
TOOLS  := dsv4-convert dsv4-verify dsv4-quant
TESTS  := $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
# The .cu files compiled by the C++ compiler for the CPU (tests/fiber); where there is none, this test is
# left out and tests/run.sh says so.
ifeq ($(origin CXX),default)
CXX    := $(if $(findstring clang,$(CC)),clang++,g++)
endif
CUTESTS := test_cuda test_device test_devlinear test_cudamodel
CU     := $(wildcard kernels/cuda/*.cu) tests/fiber/probe.cu
NVFLAGS := -std=c++17 -O3 -I. -fmad=false -ftz=false -prec-div=true -prec-sqrt=true -Werror all-warnings
ARCHS  := $(if $(NVCC),$(filter 80 86 89 90 100 120,$(patsubst compute_%,%,$(shell "$(NVCC)" --list-gpu-arch 2>/dev/null))))
ifeq ($(shell command -v $(firstword $(CXX)) 2>/dev/null),)
TESTS  := $(filter-out $(CUTESTS),$(TESTS))
endif
HELPERS := mkmodel packtile arith encode
# make runs as many commands at a time as there are processors for this process, unless -j says how many.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif

# libdsv4, for other programs. There is none under sanitizers, which a program would have to be built with too.
LIBVER := $(shell sed -n 's/^.define DSV4_LIB_VERSION "\(.*\)"/\1/p' quant/lib/dsv4.h)
SONAME := libdsv4.so.$(firstword $(subst ., ,$(LIBVER)))
SHARED := $(B)/libdsv4.so.$(LIBVER)
LIBDSV4 := $(if $(filter 1,$(SAN)),,$(SHARED) $(B)/libdsv4.a)

all: $(TOOLS:%=build/%) $(LIBDSV4)

# A link, so that scripts need not know the mode. What was built last may be another mode's: it is set
# each time.
$(TOOLS:%=build/%): build/%: $(B)/% force
	@ln -sfn $(notdir $(B))/$* $@

# Goals that set up by themselves; the others only look whether building has what it needs.
SETUP  := $(if $(filter demo test check bench oracle oracle-engines oracle-vllm oracle-sglang oracle-runtime,$(MAKECMDGOALS)),setup)
setup:
	@CC="$(CC)" CPPFLAGS="$(CPPFLAGS)" CFLAGS="$(CFLAGS)" sh tests/setup.sh
$(B)/checked: $(B)/flags tests/setup.sh | $(SETUP)
	@CC="$(CC)" CPPFLAGS="$(CPPFLAGS)" CFLAGS="$(CFLAGS)" sh tests/setup.sh look
	@touch $@

# CUDA: all kernels for every architecture in one object, the same for all compilers and modes; or the file
# that says there is none. nvcc leaves the name of a temporary file, with a process number in it, as a local
# symbol; objcopy takes it out, so that two builds are equal.
GENCODE := $(foreach a,$(ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
	-gencode arch=compute_$(lastword $(ARCHS)),code=compute_$(lastword $(ARCHS))
NVDIR  := build/nvcc
ifeq ($(CUDA),1)
LIB_CU := $(NVDIR)/kernels.o
LIBS   += -L$(dir $(shell readlink -f "$(NVCC)" 2>/dev/null))../lib64 -lcudart_static -lstdc++ -lrt -ldl
else
LIB_CU := $(B)/kernels/cuda/cuda_none.c.o
endif
$(NVDIR)/kernels.cu: $(wildcard kernels/cuda/*.cu) Makefile
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(sort $(wildcard kernels/cuda/*.cu)) >$@
$(NVDIR)/kernels.o: $(NVDIR)/kernels.cu $(NVDIR)/flags $(wildcard kernels/cuda/*) kernels/dev.h kernels/weight.h kernels/fmath.h quant/num.h formats/layout/tile_at.h
	@echo "  NVCC kernels/cuda/*.cu ($(ARCHS)), once"
	$(Q)"$(NVCC)" $(NVFLAGS) $(GENCODE) -t 2 -Xcompiler -fPIE,-Wall,-Wextra,-ffp-contract=off -c -o $@.tmp $<
	$(Q)$(OBJCOPY) --strip-unneeded $@.tmp $@ && rm -f $@.tmp

# One library for each folder, linked once and in this order: a symbol of a higher folder is not found from
# a lower one.
LIBA   := $(foreach f,convert verify kernels quant formats core,$(B)/lib$(f).a)
EXTRA_kernels := $(LIB_CU) $(FMA_C:%.c=$(B)/%.fma.o) $(WIDE_C:%.c=$(B)/%.wide.o) \
	$(FP32_C:%.c=$(B)/%.fp32.o) $(if $(X86),$(FP32_C:%.c=$(B)/%.fp32fma.o))
EXTRA_quant := $(B)/quant/recipes.c.o
define library
$(B)/lib$(1).a: $(EXTRA_$(1)) $(patsubst %,$(B)/%.o,$(filter $(1)/%,$(LIB_C))) $(B)/linked
	@rm -f $$@
	@echo "  AR $$@"
	$(Q)$(AR) rcsD $$@ $$(filter %.o,$$^)
endef
$(foreach f,$(FOLDERS),$(eval $(call library,$(f))))
# Recipe files are compiled in, as they are.
RECIPES := $(sort $(wildcard quant/recipes/*.recipe))
$(B)/quant/recipes.c: quant/recipes/embed.awk $(RECIPES)
	@mkdir -p $(@D)
	@awk -f $^ >$@
$(B)/quant/recipes.c.o: $(B)/quant/recipes.c $(B)/checked
	@echo "  CC $<"
	$(Q)$(CC) $(CF) -MMD -MP -c -o $@ $<
# libdsv4 is room quant/lib and what that needs of the folders below. Only what quant/lib/dsv4.map names can be called
# from outside: the shared library exports nothing else, and in the static one everything else is local.
PIC     = -fPIC -fvisibility=hidden
$(foreach f,core formats quant,$(eval $(B)/$(f)/%.o: private CF += $(PIC)))
DSV4_O := $(patsubst %,$(B)/%.o,$(filter quant/lib/%,$(LIB_C)))
DSV4_A := $(foreach f,quant formats core,$(B)/lib$(f).a)
DSV4_L := -ljansson -lxxhash -lcrypto -lpthread
$(SHARED): $(DSV4_O) $(DSV4_A) quant/lib/dsv4.map
	@echo "  LD $@"
	$(Q)$(CC) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=quant/lib/dsv4.map -Wl,-z,defs,-z,relro,-z,now \
		-Wl,--as-needed $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(DSV4_L)
	@ln -sfn $(@F) $(@D)/$(SONAME) && ln -sfn $(SONAME) $(@D)/libdsv4.so
$(B)/libdsv4.a: $(DSV4_O) $(DSV4_A)
	@echo "  AR $@"
	$(Q)$(CC) -nostdlib -r -o $(B)/dsv4.o $(filter %.o %.a,$^) && $(OBJCOPY) --localize-hidden $(B)/dsv4.o
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(B)/dsv4.o
# What only dsv4-quant has stands above them all.
QUANT_C := $(wildcard quant/cli/*.c)
$(B)/dsv4-quant: $(QUANT_C:%=$(B)/%.o)
LINK    = $(CC) $(LF) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)
$(TOOLS:%=$(B)/%): $(B)/dsv4-%: $(B)/%/main.c.o $(LIBA)
	@echo "  LD $@"
	$(Q)$(LINK)
$(B)/test_fault $(B)/test_folder: private LF += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
$(TESTS:%=$(B)/%) $(HELPERS:%=$(B)/%): $(B)/%: $(B)/tests/%.c.o $(LIBA)
	@echo "  LD $@"
	$(Q)$(LINK)

$(B)/%.c.o: %.c $(B)/checked
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(CF) -MMD -MP -c -o $@ $<
$(B)/%.fma.o: %.c $(B)/checked
	@mkdir -p $(@D)
	@echo "  CC $< (FMA)"
	$(Q)$(CC) $(CF) -O3 -mavx2 -mfma -DREF_FMA -MMD -MP -c -o $@ $<
$(B)/%.fp32.o: %.c $(B)/checked
	@mkdir -p $(@D)
	@echo "  CC $< (FP32)"
	$(Q)$(CC) $(CF) -O3 -DREF_FP32 -MMD -MP -c -o $@ $<
$(B)/%.fp32fma.o: %.c $(B)/checked
	@mkdir -p $(@D)
	@echo "  CC $< (FP32, FMA)"
	$(Q)$(CC) $(CF) -O3 -mavx2 -mfma -DREF_FP32 -DREF_FMA -MMD -MP -c -o $@ $<
$(B)/%.wide.o: %.c $(B)/checked
	@mkdir -p $(@D)
	@echo "  CC $< (WIDE)"
	$(Q)$(CC) $(CF) -O3 -DREF_WIDE -MMD -MP -c -o $@ $<
CXF     = -std=c++17 -Itests/fiber -Wno-unknown-pragmas $(filter-out -std=c11 -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wconversion \
	-Wsign-conversion,$(CF))
$(B)/%.cu.o: %.cu $(B)/checked
	@mkdir -p $(@D)
	@echo "  CXX $<"
	$(Q)$(CXX) $(CXF) -x c++ -MMD -MP -c -o $@ $<
$(B)/%.cc.o: %.cc $(B)/checked
	@mkdir -p $(@D)
	@echo "  CXX $<"
	$(Q)$(CXX) $(CXF) -MMD -MP -c -o $@ $<
# The runtime switches stacks itself: TSan must not look into it, but be told.
$(B)/tests/fiber/fiber.c.o: private CF := $(patsubst -fsanitize=thread,-DFIBER_TSAN,$(CF))
PTX_C  := $(wildcard tests/ptx/*.c)
FIBER  := $(CU:%=$(B)/%.o) $(B)/tests/fiber/fiber.c.o $(B)/tests/fiber/runtime.cc.o
$(CUTESTS:%=$(B)/%): $(FIBER) $(PTX_C:%=$(B)/%.o)
$(CUTESTS:%=$(B)/%): private LF += -rdynamic
$(CUTESTS:%=$(B)/%): private LIBS += -ldl -lstdc++
$(B)/test_ptx: $(patsubst %,$(B)/%.o,$(filter-out %/hook.c,$(PTX_C)))
# Files that are written only when what they hold changes: what compiling, linking and nvcc depend on.
$(B)/flags: STAMP = $(CC) $(CF) $(PIC)
$(B)/linked: STAMP = $(CC) $(LF) $(LIBS) $(LIB_CU)
$(NVDIR)/flags: STAMP = $(NVCC) $(NVFLAGS) $(GENCODE)
$(B)/flags $(B)/linked $(NVDIR)/flags: force
	@mkdir -p $(@D); echo '$(STAMP)' | cmp -s - $@ || echo '$(STAMP)' >$@

# AVX-512 over SIMDe, for processors without it. Before the library, so that the one in there is not taken.
EMULATED := $(addprefix $(B)/emulated/,test_linear test_forward test_row test_reform test_ggml test_ggml_types test_lowbit test_round)
EMULATED_O := $(addprefix $(B)/emulated/,kernels/linear/linear_avx512.o quant/row_avx512.o quant/lowbit_avx512.o quant/ggml_floats_avx512.o)
$(EMULATED_O): $(B)/emulated/%.o: %.c kernels/linear/linear_simd.inc $(wildcard quant/*.inc) tests/emulate/immintrin.h $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC $< (emulated)"
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -Itests/emulate -I. -O1 -g -fPIE -ffp-contract=off -mavx2 -mfma -mf16c -w -Wno-psabi -c -o $@ $<
$(EMULATED): $(B)/emulated/%: $(B)/tests/%.c.o $(EMULATED_O) $(LIBA)
	@echo "  LD $@"
	$(Q)$(LINK)
emulated: $(EMULATED)

helpers: $(HELPERS:%=$(B)/%) $(B)/sharedfs.so
# Stands between the tools and the C library (LD_PRELOAD). It has no sanitizer: that of the tool is enough.
$(B)/sharedfs.so: tests/sharedfs.c $(B)/checked
	@echo "  LD $@"
	$(Q)$(CC) $(filter-out -fPIE,$(filter-out $(SANF),$(CF))) -fPIC -shared -o $@ $< -ldl -lpthread

# Whole calls on damaged input: make fuzz-commands SECONDS=120 SEED=1 (tests/fuzz/README.md).
$(B)/commands: $(B)/tests/fuzz/commands.c.o $(LIBA)
	@echo "  LD $@"
	$(Q)$(CC) $(LF) -o $@ $^ $(LIBS)
SECONDS ?= 120
SEED    ?= 1
fuzz-commands: all $(B)/commands
	@B=$(B) $(B)/commands $(SECONDS) $(SEED)

$(B)/test_shared: $(B)/sharedfs.so
test check: setup all helpers $(TESTS:%=$(B)/%) $(B)/runner
	@B=$(B) CC="$(CC)" JUNIT="$(JUNIT)" T="$(T)" J="$(J)" $(SAME) sh tests/run.sh $(TESTS)
# For a make that a test calls, so that it builds nothing anew.
SAME    = CFLAGS='$(CFLAGS)' CPPFLAGS='$(CPPFLAGS)' LDFLAGS='$(LDFLAGS)' SAN=$(SAN) CUDA=$(CUDA)
# It is no part of what it tests: it uses none of the libraries.
$(B)/runner: $(B)/tests/runner.c.o
	@echo "  LD $@"
	$(Q)$(CC) $(LF) -o $@ $<

# The same tests with the kernels on a GPU. LIB_CU must be nvcc's: CUDA=1.
GPU    := $(B)/gpu
$(NVDIR)/probe.o: tests/fiber/probe.cu tests/fiber/probe.h formats/layout/tile_at.h quant/num.h
	@mkdir -p $(@D)
	$(Q)"$(NVCC)" $(NVFLAGS) $(GENCODE) -t 2 -Xcompiler -fPIE -c -o $@ $<
$(CUTESTS:%=$(GPU)/%): $(GPU)/%: $(B)/tests/%.c.o $(NVDIR)/probe.o $(B)/tests/fiber/none.c.o $(PTX_C:%=$(B)/%.o) $(LIBA)
	@mkdir -p $(@D)
	$(Q)$(LINK)
# Programs of tests note which rules they produce (tests/produced.c).
PRODUCED := $(TESTS:%=$(B)/%) $(EMULATED) $(CUTESTS:%=$(GPU)/%)
$(PRODUCED): private LF += -Wl,--wrap=rule_broken
$(PRODUCED): $(B)/tests/produced.c.o
test-gpu: $(if $(filter 1,$(CUDA)),$(CUTESTS:%=$(GPU)/%)) build/dsv4-verify
	@B=$(B) CUDA=$(CUDA) NVCC="$(NVCC)" ARCHS="$(ARCHS)" CUTESTS="$(CUTESTS)" sh tests/gpu.sh

test-ptx: $(CUTESTS:%=$(B)/%) $(NVDIR)/kernels.cu
	@B=$(B) NVCC="$(NVCC)" NVFLAGS="$(NVFLAGS)" CU="$(NVDIR)/kernels.cu tests/fiber/probe.cu" CUTESTS="$(CUTESTS)" ARCHS="$(ARCHS)" sh tests/cuda.sh

demo: setup all helpers
	@B=$(B) sh tests/demo.sh

# examples/read as a program would have it: with the installed header and library.
$(B)/read: examples/read.c quant/lib/dsv4.h $(B)/libdsv4.a
	@echo "  LD $@"
	$(Q)$(CC) $(CF) -Iquant/lib $(LF) -o $@ $< $(B)/libdsv4.a $(DSV4_L)
bench: setup all helpers $(B)/bench $(B)/read
	@B=$(B) sh tests/bench.sh && B=$(B) sh tests/cluster/speed.sh
$(B)/bench: $(B)/tests/bench.c.o $(B)/tests/bench_row.c.o $(B)/tests/bench_lowbit.c.o $(B)/tests/bench_round.c.o $(B)/tests/bench_tile.c.o $(B)/tests/bench_linear.c.o $(B)/tests/bench_read.c.o $(LIBA)
	$(Q)$(LINK)

oracle: all helpers
	@B=$(B) sh tests/oracle/run.sh
oracle-engines: all helpers
	@B=$(B) sh tests/oracle/engines.sh; a=$$?; B=$(B) sh tests/oracle/vllm.sh && exit $$a
oracle-vllm: all helpers
	@B=$(B) sh tests/oracle/vllm.sh
oracle-sglang: all helpers
	@B=$(B) sh tests/oracle/sglang.sh
test-engine-gpu:
	@B=$(B) sh tests/engine_gpu.sh
test-all-gpu: all $(if $(filter 1,$(CUDA)),$(CUTESTS:%=$(GPU)/%))
	@B=$(B) CUDA=$(CUDA) NVCC="$(NVCC)" ARCHS="$(ARCHS)" CUTESTS="$(CUTESTS)" sh tests/all_gpu.sh
oracle-runtime: all helpers
	@B=$(B) sh tests/oracle/runtime.sh

# What is installed: source, place, mode. The pages are what the tools print.
PAGES  := man:$(MANDIR)/%.1 bash:$(BASHDIR)/% zsh:$(ZSHDIR)/_% fish:$(FISHDIR)/%.fish
DOCS   := README.md NEWS.md LICENSE $(sort $(wildcard docs/*.md docs/schema/*))
place   = $(subst %,$(1),$(PAGES))
install: all install-lib
	set -e; for t in $(TOOLS); do \
		install -d "$(DESTDIR)$(PREFIX)/bin"; \
		install -m 755 $(B)/$$t "$(DESTDIR)$(PREFIX)/bin/$$t"; \
	done
	set -e; for f in $(foreach t,$(TOOLS),$(foreach p,$(call place,$(t)),$(t):$(p))); do \
		t=$${f%%:*}; f=$${f#*:}; \
		install -d "$(DESTDIR)$$(dirname "$${f#*:}")"; \
		$(B)/$$t help --$${f%%:*} >"$(DESTDIR)$${f#*:}"; \
		chmod 644 "$(DESTDIR)$${f#*:}"; \
	done
	set -e; for f in $(DOCS); do \
		install -d "$(DESTDIR)$(DOCDIR)/$$(dirname "$$f")"; \
		install -m 644 "$$f" "$(DESTDIR)$(DOCDIR)/$$f"; \
	done
	install -d "$(DESTDIR)$(DATADIR)/recipes"
	install -m 644 $(RECIPES) "$(DESTDIR)$(DATADIR)/recipes/"
# The library alone: for packages that split it off, and for tests.
install-lib: $(LIBDSV4)
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(MAN3DIR)"
	install -m 644 quant/lib/dsv4.h "$(DESTDIR)$(INCLUDEDIR)/dsv4.h"
	set -e; for f in $(LIBDSV4); do install -m 644 $$f "$(DESTDIR)$(LIBDIR)/$$(basename $$f)"; done
	ln -sfn libdsv4.so.$(LIBVER) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sfn $(SONAME) "$(DESTDIR)$(LIBDIR)/libdsv4.so"
	sed 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR)),; s,@VERSION@,$(LIBVER),; s,@INCLUDEDIR@,$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR)),' \
		quant/lib/dsv4.pc.in >"$(DESTDIR)$(LIBDIR)/pkgconfig/dsv4.pc"
	awk -f quant/lib/manual.awk -v VERSION=$(LIBVER) quant/lib/dsv4.h >"$(DESTDIR)$(MAN3DIR)/dsv4.3"
	chmod 644 "$(DESTDIR)$(LIBDIR)/pkgconfig/dsv4.pc" "$(DESTDIR)$(MAN3DIR)/dsv4.3"
uninstall:
	rm -f "$(DESTDIR)$(INCLUDEDIR)/dsv4.h" "$(DESTDIR)$(MAN3DIR)/dsv4.3" "$(DESTDIR)$(LIBDIR)/pkgconfig/dsv4.pc" \
		$(foreach f,libdsv4.a libdsv4.so $(SONAME) libdsv4.so.$(LIBVER),"$(DESTDIR)$(LIBDIR)/$(f)")
	rm -f $(foreach t,$(TOOLS),"$(DESTDIR)$(PREFIX)/bin/$(t)" \
		$(foreach p,$(call place,$(t)),"$(DESTDIR)$(lastword $(subst :, ,$(p)))"))
	rm -rf "$(DESTDIR)$(DOCDIR)" "$(DESTDIR)$(DATADIR)"

VERSION := $(shell sed -n 's/.*DSV4_VERSION "\(.*\)"/\1/p' core/version.h)
DIST   := dsv4-tools-$(VERSION).tar.gz
dist:
	git archive --format=tar --prefix=dsv4-tools-$(VERSION)/ HEAD | gzip -9n >$(DIST)

deb:
	@sh contrib/deb.sh

# The tools once more, linked so that they run in an empty root; they have no CUDA, which needs a driver's library.
# Only the tool that computes can use a GPU, and says that this one cannot.
STATIC  := $(B)/static
STATICDIR := dsv4-tools-$(VERSION)-$(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
STATIC_LIBS := -ljansson -lxxhash -lzstd -lcrypto -lm -lpthread
# Static libxxhash has no functions that choose by processor. libcrypto warns of names that want the C library's shared
# objects (dlopen, getaddrinfo); nothing here calls them.
$(STATIC)/xxh.o: core/hash/xxh.c $(B)/checked
	@mkdir -p $(@D)
	$(Q)$(CC) $(CF) -DXXH_INLINE_ALL -MMD -MP -c -o $@ $<
$(STATIC)/libcore.a: $(STATIC)/xxh.o $(patsubst %,$(B)/%.o,$(filter-out core/hash/xxh.c,$(filter core/%,$(LIB_C))))
$(STATIC)/libkernels.a: $(B)/kernels/cuda/cuda_none.c.o $(filter-out $(LIB_CU),$(EXTRA_kernels)) $(patsubst %,$(B)/%.o,$(filter kernels/%,$(LIB_C)))
$(STATIC)/libcore.a $(STATIC)/libkernels.a:
	@mkdir -p $(@D) && rm -f $@
	$(Q)$(AR) rcsD $@ $(sort $^)
STATIC_A := $(B)/libconvert.a $(B)/libverify.a $(STATIC)/libkernels.a $(B)/libquant.a $(B)/libformats.a $(STATIC)/libcore.a
$(TOOLS:%=$(STATIC)/%): $(STATIC)/dsv4-%: $(B)/%/main.c.o $(STATIC_A)
	@echo "  LD $@"
	$(Q)$(CC) -static-pie -Wl,-w $(filter-out -pie,$(LF)) -o $@ $(filter %.o,$^) $(STATIC_A) $(STATIC_LIBS)
	$(Q)$(STRIP) $@
$(STATIC)/dsv4-quant: $(QUANT_C:%=$(B)/%.o)
# Everything in it has one date, and one owner: two builds are equal.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
static: $(TOOLS:%=$(STATIC)/%) all
	@rm -rf $(STATIC)/$(STATICDIR)
	@$(MAKE) --no-print-directory $(SAME) B=$(B) CC='$(CC)' DESTDIR=$(STATIC)/$(STATICDIR) PREFIX= install >$(STATIC)/log
	@rm -rf $(STATIC)/$(STATICDIR)/lib $(STATIC)/$(STATICDIR)/include $(STATIC)/$(STATICDIR)/share/man/man3
	@cp $(TOOLS:%=$(STATIC)/%) $(STATIC)/$(STATICDIR)/bin/
	@tar -C $(STATIC) -c --sort=name --owner=0 --group=0 --numeric-owner --mode=go+rX,go-w --mtime=@$(SOURCE_DATE_EPOCH) \
		--format=gnu $(STATICDIR) | xz -9 -T1 >build/$(STATICDIR).tar.xz
	@ls -l build/$(STATICDIR).tar.xz

SOURCES := $(wildcard $(FOLDERS:%=%/*.[ch]) $(FOLDERS:%=%/*/*.[ch]) tests/*.[ch] tests/fiber/*.[ch] tests/ptx/*.[ch] tests/cudart/*.[ch] examples/*.c)
format:
	clang-format -i $(SOURCES)

clean:
	rm -rf build
help:
	@sed -n '/^#/!q; s/^# *//p' Makefile
.PHONY: fuzz-commands all deb static help setup helpers emulated test check test-ptx test-gpu demo bench oracle oracle-engines oracle-vllm oracle-sglang oracle-runtime test-engine-gpu test-all-gpu install install-lib uninstall dist format clean force
-include $(shell find $(B) -type f -name '*.d' 2>/dev/null)
