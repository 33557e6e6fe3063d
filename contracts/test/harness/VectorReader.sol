// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";

/// Reads deals and openings as `tests/vectors/transition.json` writes them.
abstract contract VectorReader is Test {
    struct JsonDeal {
        uint256 concurrency;
        uint256 confidence;
        uint256 toleranceKib;
        uint256 relativePermille;
        string method;
        bool deterministic;
        string acceptance;
        uint256 price;
        uint256 bond;
        uint256 keeperFee;
        uint256 open;
        uint256 timeout;
        uint256 run;
        uint256 reveal;
        bool liveLogs;
        address[] allowList;
        uint256 minPaid;
        uint256 escalationLimit;
        bool requireWork;
        uint256 cpuPermille;
        string canonical;
    }

    struct JsonOpening {
        bytes32 resultHash;
        bytes32 outputRoot;
        int256 exitCode;
        bytes32 fingerprint;
        bytes32 summary;
        bytes32 salt;
    }

    string private constant DEAL = "D(uint256 concurrency,uint256 confidence,uint256 tolerance_kib,uint256 relative_permille,string method,"
        "bool deterministic,string acceptance,uint256 price,uint256 bond,uint256 keeper_fee,uint256 open,uint256 timeout,"
        "uint256 run,uint256 reveal,bool live_logs,address[] allow_list,uint256 min_paid,uint256 escalation_limit,"
        "bool require_work,uint256 cpu_permille,string canonical)";
    string private constant OPENING =
        "O(bytes32 result_hash,bytes32 output_root,int256 exit_code,bytes32 fingerprint,bytes32 summary,bytes32 salt)";
    string[] private methodNames = ["hash", "kmeans", "ball", "near"];
    string[] private maskNames = ["times", "uuids", "hosts", "pids", "sorted-lines"];

    function readOpening(string memory json, string memory path)
        internal
        pure
        returns (IJobScheduler.Opening memory)
    {
        JsonOpening memory read = abi.decode(vm.parseJsonType(json, path, OPENING), (JsonOpening));
        return IJobScheduler.Opening(
            read.resultHash, read.outputRoot, int32(read.exitCode), read.fingerprint, read.summary, read.salt
        );
    }

    function readTerms(string memory json, string memory path)
        internal
        view
        returns (IJobScheduler.Terms memory terms)
    {
        JsonDeal memory read = abi.decode(vm.parseJsonType(json, path, DEAL), (JsonDeal));
        terms.concurrency = uint8(read.concurrency);
        terms.confidence = uint8(read.confidence);
        terms.toleranceKib = uint32(read.toleranceKib);
        terms.relativePermille = uint16(read.relativePermille);
        terms.method = IJobScheduler.Method(index(methodNames, read.method));
        terms.deterministic = read.deterministic;
        bool isFirstCome = keccak256(bytes(read.acceptance)) == keccak256("first_come");
        terms.acceptance =
            isFirstCome ? IJobScheduler.Acceptance.FirstCome : IJobScheduler.Acceptance.Requester;
        terms.price = uint96(read.price);
        terms.bond = uint96(read.bond);
        terms.keeperFee = uint96(read.keeperFee);
        terms.open = uint32(read.open);
        terms.timeout = uint32(read.timeout);
        terms.run = uint32(read.run);
        terms.reveal = uint32(read.reveal);
        terms.liveLogs = read.liveLogs;
        terms.allowList = read.allowList;
        terms.minPaid = uint96(read.minPaid);
        terms.escalationLimit = uint8(read.escalationLimit);
        string memory parent = string.concat(path, ".parent");
        if (bytes(vm.parseJsonString(json, parent)).length > 4) {
            terms.parent = vm.parseJsonBytes32(json, parent);
        }
        (terms.requireWork, terms.cpuPermille) = (read.requireWork, uint16(read.cpuPermille));
        terms.canonical = readCanonical(read.canonical);
        string memory summary = string.concat(path, ".summary");
        if (isText(json, summary)) terms.summary = readForm(vm.parseJsonString(json, summary));
        string memory audit = string.concat(path, ".audit");
        if (vm.keyExistsJson(json, string.concat(audit, ".seats"))) terms.audit = readAudit(json, audit);
    }

    function readAudit(string memory json, string memory path) internal pure returns (bytes32) {
        uint256 permille = vm.parseJsonUint(json, string.concat(path, ".permille"));
        uint256 seats = vm.parseJsonUint(json, string.concat(path, ".seats"));
        bytes memory hash = vm.parseJsonBytes(json, string.concat(path, ".secret_hash"));
        return bytes32(uint256(bytes32(hash)) >> 16 << 16 | permille << 5 | seats);
    }

    function isText(string memory json, string memory path) internal pure returns (bool) {
        return keccak256(bytes(vm.parseJsonString(json, path))) != keccak256("null");
    }

    /// Names apart by commas, or a number where some bit has no name.
    function readCanonical(string memory text) internal view returns (uint8 bits) {
        if (bytes(text).length == 0) return 0;
        if (uint8(bytes(text)[0]) <= 0x39) return uint8(vm.parseUint(text));
        string[] memory names = vm.split(text, ",");
        for (uint256 i = 0; i < names.length; ++i) {
            bits |= uint8(1 << index(maskNames, names[i]));
        }
    }

    /// Numbers that must be the same, or may differ by some parts per million: `exact`, `rel:1000ppm`, apart by commas.
    function readForm(string memory text) internal pure returns (bytes32) {
        uint256 word = 0;
        string[] memory kinds = vm.split(text, ",");
        for (uint256 k = 0; k < kinds.length; ++k) {
            uint256 kind = 1;
            if (bytes(kinds[k]).length > 5) {
                string memory ppm = vm.replace(vm.replace(kinds[k], "rel:", ""), "ppm", "");
                kind = 1 << 23 | vm.parseUint(ppm);
            }
            word |= kind << (25 * k);
        }
        return bytes32(word);
    }

    function index(string[] storage names, string memory name) internal view returns (uint256 i) {
        while (keccak256(bytes(names[i])) != keccak256(bytes(name))) ++i;
    }
}
