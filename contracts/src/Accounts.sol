// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";
import {Head, Purse, Purses} from "./Packing.sol";
import {Storage} from "./Storage.sol";
import {Tokens} from "./Tokens.sol";

/// @title The money and the record of each party
/// @notice Balances move inside the ledger; only `_withdraw` moves money out of it. Nobody owns burnt money.
abstract contract Accounts is Storage {
    /// The ERC-20 that amounts are counted in; zero is ether.
    address internal immutable ASSET;

    /// Where an asset has no code, nothing could ever arrive.
    constructor(address asset_) {
        if (asset_ != address(0) && asset_.code.length == 0) revert IJobScheduler.WrongAsset(asset_);
        ASSET = asset_;
    }

    /// Takes `needed` from `available` and the free balance; the rest becomes free.
    function _lock(address party, uint256 available, uint256 needed) internal {
        _checkTotal();
        // What was sent is a deposit, so that balances follow from events alone.
        if (msg.value != 0) {
            _checkEther();
            emit IJobScheduler.Deposited(party, msg.value);
        }
        if (available != needed) _accounts[party] = _debited(party, available, needed);
    }

    /// `account` is what is stored of the node.
    function _lockBond(address node, Purse account, uint256 bond, bool counts) internal {
        // A term of the deal, and not a balance.
        // slither-disable-next-line incorrect-equality
        if (bond == 0) return;
        uint256 free = account.free();
        if (free < bond) revert IJobScheduler.NotFunded(node, free, bond);
        account = account.minus(bond);
        _accounts[node] = counts ? account.withOneMore(Purses.SEATS) : account;
    }

    /// Sends what is the sender's own: the only call that moves money out.
    function _withdraw(address to, uint256 amount) internal {
        _accounts[msg.sender] = _debited(msg.sender, 0, amount);
        emit IJobScheduler.Withdrawn(msg.sender, amount);
        // An address, of which an immutable is no balance.
        // slither-disable-next-line incorrect-equality
        if (ASSET == address(0)) _sendEther(to, amount);
        else _sendTokens(to, amount);
    }

    function _sendTokens(address to, uint256 amount) private {
        _held -= amount;
        uint256 before = Tokens.held(ASSET);
        if (!Tokens.push(ASSET, to, amount)) revert IJobScheduler.TransferFailed();
        // A token that takes a fee on top would take it from others.
        _checkHeld(before - amount);
    }

    /// After a transfer: the token moved that amount, not more and not less.
    function _checkHeld(uint256 expected) internal view {
        uint256 held = Tokens.held(ASSET);
        if (held != expected) revert IJobScheduler.InexactTransfer(held, expected);
    }

    function _checkEther() internal view {
        if (ASSET != address(0)) revert IJobScheduler.WrongAsset(ASSET);
    }

    function _sendEther(address to, uint256 amount) private {
        bool sent;
        // Does not copy what the receiver returns: a receiver could make that cost more than the sender expects.
        assembly ("memory-safe") {
            sent := call(gas(), to, amount, 0, 0, 0, 0)
        }
        if (!sent) revert IJobScheduler.TransferFailed();
    }

    /// The account with `extra` more and `amount` less.
    function _debited(address party, uint256 extra, uint256 amount) internal view returns (Purse account) {
        account = _accounts[party];
        uint256 free = account.free() + extra;
        if (free < amount) revert IJobScheduler.NotFunded(party, free, amount);
        return account.minus(account.free()).plus(free - amount);
    }

    function _credit(address party, uint256 amount) internal {
        if (amount != 0) _accounts[party] = _accounts[party].plus(amount);
    }

    function _burn(uint256 amount) internal {
        if (amount != 0) _burnt += amount;
    }

    /// All money held fits one account, so no sum of a part of it can overflow.
    function _checkTotal() internal view {
        if (address(this).balance > type(uint96).max) revert IJobScheduler.TooMuchMoney();
    }

    /// Whether a seat counts in a node's record: one that is compared with no other, or has no price, proves nothing.
    function _counts(Head head, uint256 price) internal pure returns (bool) {
        return head.asked() > 1 && price != 0;
    }
}
