// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Fingerprints} from "../../src/Fingerprints.sol";

/// Every vector of `tests/vectors/fingerprint.json`, which the Rust side reads too.
contract FingerprintsTest is Test {
    struct Pack {
        uint256[10] q;
        uint256[10] w;
        uint256 cpuMs;
        uint256 faults;
        bytes32 ball;
        bytes32 kmeans;
    }

    struct Unpack {
        bytes32 word;
        bool dirty;
        bool isVoid;
        uint256 cpuMs;
        uint256 faults;
        uint256[10] memoryKib;
    }

    string private json;

    function setUp() public {
        json = vm.readFile("tests/vectors/fingerprint.json");
    }

    function test_every_row_packs_as_in_rust() public view {
        string memory form =
            "JsonPack(uint256[10] q,uint256[10] w,uint256 cpu_ms,uint256 faults,bytes32 ball,bytes32 kmeans)";
        Pack[] memory rows = abi.decode(vm.parseJsonTypeArray(json, ".pack", form), (Pack[]));
        for (uint256 i = 0; i < rows.length; ++i) {
            (uint256 cpu, uint256 faults) = (rows[i].cpuMs, rows[i].faults);
            assertEq(Fingerprints.pack(rows[i].q, cpu, faults), uint256(rows[i].ball), vm.toString(i));
            assertEq(Fingerprints.pack(rows[i].w, cpu, faults), uint256(rows[i].kmeans), vm.toString(i));
        }
        assertEq(rows.length, vm.parseJsonUint(json, ".pack_count"));
        assertGt(rows.length, 0);
    }

    function test_every_word_unpacks_as_in_rust() public view {
        string memory form =
            "JsonUnpack(bytes32 word,bool dirty,bool void,uint256 cpu_ms,uint256 faults,uint256[10] memory_kib)";
        Unpack[] memory rows = abi.decode(vm.parseJsonTypeArray(json, ".unpack", form), (Unpack[]));
        for (uint256 i = 0; i < rows.length; ++i) {
            uint256 word = uint256(rows[i].word);
            string memory name = vm.toString(i);
            assertEq(Fingerprints.isWellFormed(word), !rows[i].dirty, name);
            assertEq(word == Fingerprints.VOID, rows[i].isVoid, name);
            if (rows[i].dirty || rows[i].isVoid) continue;
            (uint256 even, uint256 odd) = Fingerprints.lanes(word);
            for (uint256 k = 0; k < 10; ++k) {
                assertEq(Fingerprints.sampleKib(word, k), rows[i].memoryKib[k], name);
                uint256 lane = ((k % 2 == 0 ? even : odd) >> (40 * (k / 2))) & ((1 << 40) - 1);
                assertEq(lane * Fingerprints.UNIT_KIB, rows[i].memoryKib[k], name);
            }
            assertEq(Fingerprints.cpuMs(word), rows[i].cpuMs, name);
            assertEq(Fingerprints.faults(word), rows[i].faults, name);
        }
        assertEq(rows.length, vm.parseJsonUint(json, ".unpack_count"));
        assertGt(rows.length, 0);
    }
}
