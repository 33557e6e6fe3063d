// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "assay/IJobScheduler.sol";
import {AssayConsumer} from "assay/consumer/AssayConsumer.sol";
import {Numbers} from "./Numbers.sol";

/// @title A prize for the program that answers best about a file that nobody knew
/// @notice The sponsor names the hash of a file and the image that judges. Programs enter as images. Then the sponsor tells
/// where the file is. Nodes run each program on it, and what it prints is its answer. Then they run the judge on the file and
/// the answer, and what that prints is the score. No program prints its own score. The highest wins.
contract Prize is AssayConsumer {
    uint96 internal constant PAY = 0.001 ether;
    uint96 internal constant FEE = 0.001 ether;
    uint8 internal constant NODES = 3;
    uint256 internal constant MOST_ENTRIES = 64;
    uint256 internal constant LONGEST_NAME = 200;
    /// Bytes. The contract keeps it until the judge is asked.
    uint256 internal constant LONGEST_ANSWER = 256;

    /// What is done for an entry next, or under way.
    enum Step {
        Run,
        Running,
        Judge,
        Judging,
        Done
    }

    struct Entry {
        address author;
        Step step;
        uint256 score;
        string image;
        bytes answer;
    }

    address public immutable SPONSOR;
    /// @notice SHA-256 of the hidden file, which `reveal` gives a URL.
    bytes32 public immutable INPUT;
    uint256 public immutable ENTER_BY;
    uint256 public immutable REVEAL_BY;
    uint256 public immutable PRIZE;
    /// @notice The image that judges: it finds the file at `/input`, and the answer in hexadecimal digits in `ANSWER`.
    string public judge;

    Entry[] public entries;
    mapping(bytes32 job => uint256) private _entryOf;
    uint256 public judged;
    string public url;
    uint64 public inputBytes;
    bool public isOver;

    event Entered(uint256 indexed entry, address indexed author, string image);
    event Won(uint256 indexed entry, address indexed author, uint256 score);

    error OnlySponsor();
    error TooLate();
    error TooEarly();
    error TooMany();
    error TooLittle();
    error BadText();
    error NothingDue(uint256 entry);
    error Over();

    /// @param judge_ The image that judges, named by its digest.
    /// @param input SHA-256 of the file that programs are run on.
    constructor(
        IJobScheduler scheduler_,
        string memory judge_,
        bytes32 input,
        uint256 enterBy,
        uint256 revealBy,
        uint256 prize
    ) payable AssayConsumer(scheduler_) {
        _check(bytes(judge_));
        (SPONSOR, INPUT, ENTER_BY, REVEAL_BY, PRIZE) = (msg.sender, input, enterBy, revealBy, prize);
        judge = judge_;
    }

    /// @notice Enters a program: an image in a registry, named by its digest. The fee of its nodes comes along.
    function enter(string calldata image) external payable returns (uint256 entry) {
        if (block.timestamp > ENTER_BY) revert TooLate();
        if (entries.length == MOST_ENTRIES) revert TooMany();
        if (msg.value < cost()) revert TooLittle();
        _check(bytes(image));
        entry = entries.length;
        entries.push(Entry(msg.sender, Step.Run, 0, image, ""));
        emit Entered(entry, msg.sender, image);
    }

    /// @notice What an entry pays for its run and for the judge's: nodes, keeper and deliverer.
    function cost() public pure returns (uint256) {
        return 2 * (NODES * uint256(PAY) + 2 * uint256(FEE));
    }

    /// @notice Tells where the file is. A URL with other content makes all runs fail, and returns no prize to the sponsor.
    function reveal(string calldata url_, uint64 bytes_) external {
        if (msg.sender != SPONSOR) revert OnlySponsor();
        if (block.timestamp <= ENTER_BY) revert TooEarly();
        if (block.timestamp > REVEAL_BY || bytes(url).length != 0) revert TooLate();
        _check(bytes(url_));
        (url, inputBytes) = (url_, bytes_);
    }

    /// @notice Has nodes run an entry, or its judge. Anybody may call it, twice for each entry.
    function advance(uint256 entry) external returns (bytes32 job) {
        if (bytes(url).length == 0) revert TooEarly();
        Entry storage found = entries[entry];
        bytes memory spec;
        if (found.step == Step.Run) {
            (found.step, spec) = (Step.Running, specOf(found.image));
        } else if (found.step == Step.Judge) {
            (found.step, spec) = (Step.Judging, specOfJudge(found.answer));
        } else {
            revert NothingDue(entry);
        }
        job = _request(terms(), spec, NODES * uint256(PAY) + FEE, FEE, uint64(block.timestamp + 1 days));
        _entryOf[job] = entry;
    }

    /// @notice What is agreed with the nodes.
    function terms() public pure returns (IJobScheduler.Terms memory t) {
        (t.concurrency, t.confidence) = (NODES, 2);
        (t.method, t.deterministic) = (IJobScheduler.Method.Hash, true);
        t.acceptance = IJobScheduler.Acceptance.FirstCome;
        (t.price, t.bond, t.keeperFee) = (PAY, PAY, FEE);
        (t.open, t.timeout, t.run, t.reveal) = (1 hours, 10 minutes, 30 minutes, 1 minutes);
        (t.relativePermille, t.cpuPermille) = (300, 333);
    }

    /// @notice What nodes run for an entry.
    function specOf(string memory image) public view returns (bytes memory) {
        return _spec(image, "{}");
    }

    /// @notice What nodes run to judge an answer. Of the program's own, digits alone get into it.
    function specOfJudge(bytes memory answer) public view returns (bytes memory) {
        return _spec(judge, abi.encodePacked('{"ANSWER":"', _hex(answer), '"}'));
    }

    /// @notice Pays the best entry once all are judged. The first of equals wins. Without any score, or where the sponsor told
    /// nothing in time, the prize goes back or to the entries in equal parts.
    function award() external {
        if (isOver) revert Over();
        bool isRevealed = bytes(url).length != 0;
        if (!isRevealed && block.timestamp <= REVEAL_BY) revert TooEarly();
        if (isRevealed && judged < entries.length) revert TooEarly();
        isOver = true;
        uint256 count = entries.length;
        if (!isRevealed && count != 0) {
            // Whoever hides the file until the end must not get the prize back for it.
            for (uint256 i = 0; i < count; ++i) {
                scheduler.depositFor{value: PRIZE / count}(entries[i].author);
            }
            return;
        }
        (uint256 best, uint256 score) = (count, 0);
        for (uint256 i = 0; i < count; ++i) {
            if (entries[i].score > score) (best, score) = (i, entries[i].score);
        }
        address winner = best == count ? SPONSOR : entries[best].author;
        if (best != count) emit Won(best, winner, score);
        // A credit on the scheduler, which the winner withdraws: nobody can hold the contest up by refusing ether.
        scheduler.depositFor{value: PRIZE}(winner);
    }

    function _fulfilled(bytes32 job, int32 exitCode, bytes calldata stdout) internal override {
        Entry storage entry = entries[_entryOf[job]];
        if (entry.step == Step.Running) {
            // What fails, or says nothing or too much, has no answer.
            if (exitCode == 0 && stdout.length != 0 && stdout.length <= LONGEST_ANSWER) {
                (entry.answer, entry.step) = (stdout, Step.Judge);
                return;
            }
        } else {
            (bool isNumber, uint256 score) = Numbers.read(stdout);
            if (exitCode == 0 && isNumber) entry.score = score;
        }
        _close(entry);
    }

    function _unfulfilled(bytes32 job, IJobScheduler.JobState) internal override {
        _close(entries[_entryOf[job]]);
    }

    function _close(Entry storage entry) private {
        (entry.step, judged) = (Step.Done, judged + 1);
    }

    function _spec(string memory image, bytes memory environment) private view returns (bytes memory) {
        bytes memory input = abi.encodePacked(
            '[{"digest":"0x',
            _hex(abi.encodePacked(INPUT)),
            '","bytes":',
            _decimal(inputBytes),
            ',"target":"/input","kind":"file","url":"',
            url,
            '"}]'
        );
        bytes memory program = abi.encodePacked(
            '{"image":"', image, '","image_name":"', image, '","entrypoint":[],"command":[],"environment":'
        );
        return abi.encodePacked(
            program,
            environment,
            ',"working_directory":null,"inputs":',
            input,
            ',"resources":{"memory_bytes":536870912,"cpu_millis":1000,"pids":256,"disk_bytes":1073741824},',
            '"public_result":true}'
        );
    }

    /// It becomes a part of a JSON text, so it holds nothing that could end a string there.
    function _check(bytes memory text) private pure {
        if (text.length == 0 || text.length > LONGEST_NAME) revert BadText();
        for (uint256 i = 0; i < text.length; ++i) {
            if (text[i] <= 0x20 || text[i] >= 0x7f || text[i] == '"' || text[i] == "\\") revert BadText();
        }
    }

    function _decimal(uint256 value) private pure returns (bytes memory digits) {
        do {
            digits = abi.encodePacked(uint8(48 + value % 10), digits);
            value /= 10;
        } while (value != 0);
    }

    function _hex(bytes memory data) private pure returns (bytes memory digits) {
        digits = new bytes(2 * data.length);
        for (uint256 i = 0; i < digits.length; ++i) {
            uint8 nibble = uint8(data[i / 2]) >> (i % 2 == 0 ? 4 : 0) & 0xf;
            digits[i] = bytes1(nibble < 10 ? nibble + 48 : nibble + 87);
        }
    }
}
